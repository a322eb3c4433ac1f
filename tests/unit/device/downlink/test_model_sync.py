"""Which model is here, and the cheapest way to another one."""

import hashlib
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedge import codecs
from fedge.device.downlink.model_sync import ModelSync
from fedge.device.state.answers import Answer
from fedge.device.state.cache import BlobCache
from fedge.messages import Broadcasts, CatchUp, RoundManifest
from fedge.types import RoundId
from tests.support.models import linear
from tests.support.round_manifests import manifest, ref

ARTIFACT = linear(n_in=400, train_bias=False)  # 400 trained values and one untrained
N_ROUNDS = 12


def walk() -> tuple[list[bytes], list[bytes]]:
    """The models of rounds 1, 2, … and the payload that leads from each to the next."""
    rng = np.random.default_rng(3)
    values = ARTIFACT.parameters.astype("<f4")
    models, payloads = [values.tobytes()], []
    for _ in range(N_ROUNDS):
        delta = rng.normal(size=400).astype(np.float32)
        payloads.append(codecs.get("topk:0.01/float32").encode(delta, None, rng))
        sent = codecs.decode(payloads[-1])
        assert isinstance(sent, codecs.Sparse)
        values[sent.indices] += sent.values
        models.append(values.tobytes())
    return models, payloads


MODELS, PAYLOADS = walk()


def blob_of(round_: int, n: int) -> bytes:
    """The last n broadcasts before a round."""
    return Broadcasts(PAYLOADS[round_ - 1 - n : round_ - 1]).to_bytes()


def of_round(round_: int, *spans: int, **changes: Any) -> RoundManifest:
    ways = tuple(CatchUp(n, ref(blob_of(round_, n))) for n in spans)
    return manifest(round_, **{"model": ref(MODELS[round_ - 1]), "catch_up": ways, **changes})


@pytest.fixture
def cache(tmp_path: Path) -> BlobCache:
    return BlobCache(tmp_path / "models")


def models(cache: BlobCache, answered: int | None = None) -> ModelSync:
    """For a device that has answered this round and kept its model."""
    if answered is None:
        return ModelSync(cache, ARTIFACT, None)
    model = MODELS[answered - 1]
    cache.put(ref(model), model)
    return ModelSync(cache, ARTIFACT, Answer(RoundId(answered), hashlib.sha256(model).digest()))


def test_the_first_model_is_the_artifacts_own(cache: BlobCache) -> None:
    assert models(cache).get(of_round(1)) == MODELS[0]


@pytest.mark.parametrize(
    ("answered", "round_", "n"),
    [(None, 2, 1), (None, 6, 5), (None, 9, 8), (3, 4, 1), (3, 5, 4), (4, 12, 8), (3, 12, 11)],
)
def test_the_shortest_way_that_goes_back_far_enough_leads_to_the_model(
    cache: BlobCache, answered: int | None, round_: int, n: int
) -> None:
    own, spans = models(cache, answered), {1, 4, 5, 8, 11}
    told = of_round(round_, *(span for span in sorted(spans) if span < round_))
    assert own.get(told) is None
    assert own.wanted(told) == ref(blob_of(round_, n))
    own.take(told, own.wanted(told), blob_of(round_, n))
    assert own.get(told) == MODELS[round_ - 1]
    assert cache.get(ref(MODELS[round_ - 1])) == MODELS[round_ - 1]  # and it is on the disk


@pytest.mark.parametrize(
    ("unchanged", "n_rounds", "n"),
    [((1,), 2, 1), ((1, 3), 3, 1), ((2,), 5, 4), ((1, 7, 9), 5, 4), ((1, 2, 3), 12, 9)],
)
def test_rounds_that_made_no_model_take_no_broadcast(
    cache: BlobCache, unchanged: tuple[int, ...], n_rounds: int, n: int
) -> None:
    """The device has the first model, of round 1, and so many rounds later there are n more."""
    own = models(cache)
    ways = tuple(CatchUp(span, ref(blob_of(1 + n, span))) for span in (1, 4, 9) if span <= n)
    told = manifest(1 + n_rounds, model=ref(MODELS[n]), catch_up=ways, unchanged=unchanged)
    assert own.wanted(told) == ref(blob_of(1 + n, n))
    own.take(told, own.wanted(told), blob_of(1 + n, n))
    assert own.get(told) == MODELS[n]


def test_in_consecutive_rounds_only_the_last_broadcast_is_fetched(cache: BlobCache) -> None:
    own = models(cache)
    assert own.get(of_round(1)) == MODELS[0]
    for round_ in range(2, N_ROUNDS + 1):
        told = of_round(round_, 1)
        own.take(told, own.wanted(told), blob_of(round_, 1))
        assert own.get(told) == MODELS[round_ - 1]


@pytest.mark.parametrize(
    "told",
    [
        of_round(6),
        of_round(6, 1, 2),  # three rounds were missed
        manifest(6, model=ref(MODELS[5]), catch_up=(CatchUp(4, ref(bytes(2000))),)),
        of_round(3, 1),  # it is here as round 3's, so this must be from another run
    ],
    ids=["none", "too short", "larger", "the same round"],
)
def test_the_whole_model_is_fetched_if_no_way_is_shorter(
    cache: BlobCache, told: RoundManifest
) -> None:
    assert models(cache, 3).wanted(told) == told.model


def test_a_model_that_is_gone_from_the_disk_leads_nowhere(cache: BlobCache) -> None:
    answered = Answer(RoundId(3), hashlib.sha256(MODELS[2]).digest())
    told = of_round(4, 1)
    assert ModelSync(cache, ARTIFACT, answered).wanted(told) == told.model


@pytest.mark.parametrize(
    "data",
    [
        Broadcasts([PAYLOADS[0]]).to_bytes(),
        Broadcasts([PAYLOADS[4][:-1]]).to_bytes(),
        Broadcasts([]).to_bytes(),
        PAYLOADS[4],
        b"nonsense",
    ],
    ids=["another", "damaged", "none", "a payload alone", "nonsense"],
)
def test_broadcasts_that_lead_elsewhere_are_dropped_and_the_whole_model_is_fetched(
    cache: BlobCache, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    own = models(cache, 5)
    told = of_round(6, catch_up=(CatchUp(1, ref(data)),))
    model = MODELS[5]
    own.take(told, ref(data), data)
    assert len(caplog.records) == 1
    assert own.get(told) is None
    assert own.wanted(told) == told.model
    own.take(told, told.model, model)
    assert own.get(told) == model
    assert own.wanted(of_round(7, 1)) == ref(blob_of(7, 1))  # the next round starts afresh


def test_a_blob_fetched_for_an_earlier_manifest_is_ignored(cache: BlobCache) -> None:
    own = models(cache, 5)
    own.take(of_round(7, 2), ref(blob_of(6, 1)), blob_of(6, 1))
    assert own.get(of_round(6, 1)) is None


def test_in_another_run_only_the_artifacts_own_model_is_known(cache: BlobCache) -> None:
    own = models(cache, 5)
    own.forget()
    told = of_round(6, 1)
    assert own.wanted(told) == told.model
    assert own.wanted(of_round(2, 1)) == ref(blob_of(2, 1))


def test_a_damaged_base_is_noticed(cache: BlobCache, tmp_path: Path) -> None:
    own, told = models(cache, 5), of_round(6, 1)
    (path,) = (tmp_path / "models").iterdir()
    path.write_bytes(bytes(len(MODELS[0])))
    own.take(told, own.wanted(told), blob_of(6, 1))
    assert own.get(told) is None
    assert own.wanted(told) == told.model
