"""CBOR messages: each input goes to every decoder."""

import random
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import cbor2
import numpy as np

from fedge.artifact import Manifest
from fedge.errors import PayloadError
from fedge.messages import (
    BlobChunk,
    BlobRequest,
    Broadcasts,
    EvaluationReport,
    StatisticsReport,
    Topics,
    UpdateChunk,
)
from fedge.messages.topics import Topic
from fedge.training.metrics import form_of, sums_of
from fedge.training.statistics import FeatureStatistics
from fedge.types import RoundId
from tests.fuzz.models import MANIFEST, SCHEMA
from tests.fuzz.target import Change, Target, read
from tests.support.message_examples import EXAMPLES

_FACTOR = 256  # times its size: a list of one element takes two bytes there and a hundred here
_EDGES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 23, 24, 255, 256, 65_535, 65_536, 2**31 - 1, 2**31, 2**32),
    *(2**53, 2**63 - 1, 2**63, 2**64 - 1, -(2**64), 2**64, 2**200, 2**20_000),
    *(0.0, -0.0, 0.5, 1e-300, 1e300, float("inf"), float("-inf"), float("nan")),
    *("", "online", "accepted", "training", "0123456789abcdef", "x" * 65, "\0", "\ud7ff", "\n"),
    *(b"", bytes(8), bytes(16), bytes(32), [], [[]], [0, 0], {}, {"v": 1}),
)


def _statistics(payload: bytes, manifest: Manifest = MANIFEST) -> StatisticsReport:
    return StatisticsReport.from_bytes(payload, manifest)


def read_evaluation(payload: bytes, manifest: Manifest = MANIFEST) -> EvaluationReport:
    return EvaluationReport.from_bytes(payload, manifest)


def _topic(payload: bytes) -> Topic:
    return Topics("default").read(payload.decode(errors="replace"))


DECODERS: list[Callable[[bytes], Any]] = [
    *dict.fromkeys(decode for decode, _ in EXAMPLES),
    _statistics,
    read_evaluation,
]


def check(payload: bytes) -> bool:
    """The bytes decode to a value that survives encoding and decoding, or are refused."""
    topic = read(partial(_topic, payload), (PayloadError,), most_bytes=_FACTOR * len(payload))
    is_taken = topic is not None
    for decode in DECODERS:
        most_bytes = _FACTOR * len(payload)
        value = read(partial(decode, payload), (PayloadError,), most_bytes=most_bytes)
        if value is not None:
            is_taken = True
            again = value.to_bytes()
            assert decode(again).to_bytes() == again
            # The others ignore fields, or shorten a text.
            assert again == payload or not isinstance(
                value, BlobChunk | BlobRequest | Broadcasts | UpdateChunk
            )
            assert repr(decode(again)) == repr(value)  # statistics hold arrays, which have no ==
    return is_taken


def mutate(payload: bytes, rng: random.Random, change: Change) -> bytes:
    """Changes bytes, or a value somewhere in the message, which is then re-encoded canonically."""
    if rng.randrange(4) == 0:
        return change(payload)
    try:
        value = _changed(cbor2.loads(payload), rng, change)
        return cbor2.dumps(value, canonical=True)
    except Exception:  # no longer a message: cbor2 raises many kinds of exceptions
        return change(payload)


def _changed(value: Any, rng: random.Random, change: Change) -> Any:
    """The value, with one thing in it replaced, changed, added, duplicated or removed."""
    if isinstance(value, dict | list) and value and rng.randrange(5):
        return _changed_inside(value, rng, change)
    if isinstance(value, bytes) and rng.randrange(2):
        return change(value)
    if isinstance(value, str) and rng.randrange(2):
        return change(value.encode()).decode(errors="replace")
    if type(value) is int and rng.randrange(2):
        return value + rng.choice((-1, 1, 256, -256))
    return rng.choice(_EDGES)


def _changed_inside(value: Any, rng: random.Random, change: Change) -> Any:
    """A non-empty dict or list with one of its parts changed."""
    copy = dict(value) if isinstance(value, dict) else list(value)
    key = rng.choice(list(copy) if isinstance(copy, dict) else range(len(copy)))
    match rng.randrange(8):
        case 0:
            del copy[key]
        case 1 if isinstance(copy, dict):
            copy[rng.choice(("extra", 1, *copy))] = rng.choice(_EDGES)
        case 1 if isinstance(copy, list):
            copy.insert(key, copy[key])
        case _:
            copy[key] = _changed(copy[key], rng, change)
    return copy


def report(n_examples: int = 3) -> bytes:
    """A statistics message that fits the model."""
    parts = (np.array(part, np.float64) for part in ((3, 2), (1.5, -2), (4, 0)))
    one = FeatureStatistics(*parts)
    return StatisticsReport(
        schema=SCHEMA, round=RoundId(7), n_examples=n_examples, features={"x": one}
    ).to_bytes()


def evaluation(*, has_personal: bool = False) -> bytes:
    """An evaluation message that fits the model: three examples, two of them right."""
    scores = np.array([[0, 0, 1], [2, 0, 0], [0, 3, 0]], np.float32)
    sums = sums_of(
        form_of(MANIFEST), np.array([0.5, 0.25, 2], np.float32), scores, np.array([2, 0, 2])
    )
    report = EvaluationReport(schema=SCHEMA, round=RoundId(7), sums=sums)
    return (replace(report, personal=sums) if has_personal else report).to_bytes()


def reports() -> dict[str, bytes]:
    """What devices answer to rounds that do not train."""
    return {
        "statistics": report(),
        "evaluation": evaluation(),
        "personal": evaluation(has_personal=True),
    }


def seeds() -> dict[str, bytes]:
    """One message of each kind, and a topic."""
    messages = {type(decode(message)).__name__: message for decode, message in EXAMPLES}
    topics = {"topic": Topics("default").up("job", "pi-3", 4).encode()}
    return messages | topics | reports()


TARGET = Target("messages", check, mutate, seeds, n_mutations=1200)
