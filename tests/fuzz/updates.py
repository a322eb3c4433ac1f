"""Updates, as the aggregator verifies them: what it accepts, it must be able to count."""

import random
from functools import partial

import numpy as np

from fedge import codecs
from fedge.aggregator.reception.validation import RefusedError, check_update
from fedge.aggregator.rounds.merge import merge_statistics
from fedge.messages import RoundKind
from fedge.strategies import Cohort, Mean, Member, PayloadDeltas
from fedge.training.metrics import bounds, summarize
from fedge.types import DeviceId, RoundId, Vector
from tests.fuzz import messages, payloads
from tests.fuzz.bodies import make_payload
from tests.fuzz.models import ARTIFACT, N_TRAINABLE, SCHEMA
from tests.fuzz.target import Change, Target, read

_ROUND = RoundId(7)
_MAX_EXAMPLES = 1000
_FACTOR = 256  # times its size: the larger of a payload's and a message's


def check(update: bytes) -> bool:
    """In a round of any kind it is refused with a reason, or counted with finite results."""
    is_taken = False
    for kind in RoundKind:
        verify = partial(check_update, update, ARTIFACT, _ROUND, kind, max_examples=_MAX_EXAMPLES)
        checked = read(verify, (RefusedError,), most_bytes=_FACTOR * len(update))
        if checked is None:
            continue
        is_taken = True
        assert 1 <= checked.n_examples <= _MAX_EXAMPLES
        if kind is RoundKind.TRAINING:
            header = codecs.read_header(update)
            assert (header.round, header.schema) == (_ROUND, SCHEMA[:4])
            assert header.n_examples == checked.n_examples
            counted = _counted(update, checked.n_examples)
        elif kind is RoundKind.EVALUATION:
            report = messages.read_evaluation(update, ARTIFACT.manifest)
            shares = bounds([checked.n_examples] * 3, 3.0)
            fleet = summarize([report.sums] * 3, shares)
            counted = np.array([fleet.total.mean_loss, *fleet.worst.values()])
        else:
            counted, _ = merge_statistics([update] * 3, ARTIFACT, ARTIFACT.parameters)
        assert np.isfinite(counted).all()
    return is_taken


def _counted(update: bytes, n_examples: int) -> Vector:
    """The delta of a cohort of one; read by columns it is the same."""
    deltas = PayloadDeltas(n_params=N_TRAINABLE, n_members=1, read=lambda _: [update])
    member = Member(device=DeviceId("ann"), round=_ROUND, n_examples=n_examples)
    mean = Mean().combine(Cohort((member,), deltas))
    np.testing.assert_array_equal(deltas.columns(0, N_TRAINABLE)[0], mean)
    return mean


def mutate(update: bytes, rng: random.Random, change: Change) -> bytes:
    """Mutates it as a payload or as a message, depending on how it starts."""
    is_map = update[:1] >= b"\xa0"
    return (messages.mutate if is_map else payloads.mutate)(update, rng, change)


def seeds() -> dict[str, bytes]:
    """An update for the small model in every scheme, and reports."""
    stamp = codecs.Stamp(schema=SCHEMA[:4], round=_ROUND, n_examples=12)
    updates = {
        scheme.name.lower(): make_payload(scheme, N_TRAINABLE, stamp) for scheme in codecs.Scheme
    }
    return updates | messages.reports()


TARGET = Target("update", check, mutate, seeds, n_mutations=4000)
