"""What devices are sent of a new model."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedge import codecs
from fedge.aggregator.models.broadcast import Broadcast, Broadcaster
from fedge.aggregator.models.catch_up import KEPT, SPANS, bundles
from fedge.codecs import Stamp
from fedge.messages import Broadcasts
from fedge.types import Vector

SPECS = ["topk:0.1/sign", "topk:0.1/int8", "topk:0.1/float32", "int8", "eden:2", "mask:0.5/eden:1"]


def vector(*values: float) -> Vector:
    return np.array(values, np.float32)


def send(
    spec: str, parameters: Vector, held: Vector, n_trainable: int, *, round_: int = 1
) -> Broadcast:
    downlink = Broadcaster(codecs.get(spec), n_trainable)
    return downlink.broadcast(parameters, held, Stamp(round=round_), 7)


def test_the_largest_differences_go_first_and_the_rest_goes_with_the_next_round() -> None:
    """Four trained values, two a round; the others are not trained."""
    rest = [9.0] * 20
    first = send("topk:0.5/float32", vector(4, 1, -8, 2, *rest), vector(0, 0, 0, 0, *rest), 4)
    np.testing.assert_array_equal(first.held, vector(4, 0, -8, 0, *rest))
    model = vector(4, 1, -8, 3, *rest)
    second = send("topk:0.5/float32", model, first.held, 4, round_=2)
    np.testing.assert_array_equal(second.held, model)
    assert second.payload is not None
    sent = codecs.decode(second.payload)
    np.testing.assert_array_equal(sent.to_dense(), vector(0, 1, 0, 3))


def test_what_devices_held_is_not_written_over() -> None:
    held = vector(0, 0, 0)
    send("topk:0.5/float32", vector(1, 2, 3), held, 3)
    np.testing.assert_array_equal(held, vector(0, 0, 0))


@pytest.mark.parametrize("spec", SPECS)
@given(seed=st.integers(0, 2**32 - 1), n_rounds=st.integers(1, 6))
def test_a_device_that_adds_every_broadcast_holds_the_same_bits(
    spec: str, seed: int, n_rounds: int
) -> None:
    rng = np.random.default_rng(seed)
    model = rng.normal(size=3000).astype(np.float32)
    held = model.copy()
    device = held[:2900].copy()
    for round_ in range(n_rounds):
        model[:2900] += rng.normal(scale=0.1, size=2900).astype(np.float32)
        sent = send(spec, model, held, 2900, round_=round_)
        assert sent.payload is not None
        found = codecs.decode(sent.payload)
        if isinstance(found, codecs.Sparse):
            device[found.indices] += found.values
        else:
            device += found.values
        held = sent.held
        assert held[:2900].tobytes() == device.tobytes()
        assert held[2900:].tobytes() == model[2900:].tobytes()


@pytest.mark.parametrize("spec", ["topk:0.1/sign", "topk:0.1/int8", "topk:0.1/float32", "int8"])
def test_a_model_that_rests_is_reached(spec: str) -> None:
    """The difference is its own error feedback: nothing that was left out is forgotten."""
    model = np.random.default_rng(1).normal(size=500).astype(np.float32)
    held = np.zeros(500, np.float32)
    for round_ in range(60):
        held = send(spec, model, held, 500, round_=round_).held
    assert np.abs(model - held).max() < 0.05 * np.abs(model).max()


def test_the_same_arguments_give_the_same_bytes_and_another_round_other_dice() -> None:
    model = np.random.default_rng(1).normal(size=500).astype(np.float32)
    held = np.zeros(500, np.float32)
    one, again = (send("int8", model, held, 500, round_=3).payload for _ in range(2))
    assert one == again
    assert codecs.decode(one or b"").to_dense().tobytes() != (
        codecs.decode(send("int8", model, held, 500, round_=4).payload or b"").to_dense().tobytes()
    )


@pytest.mark.parametrize(
    ("spec", "model", "held"),
    [
        ("none", vector(*range(100)), vector(*[0] * 99, 99)),
        ("topk:0.1/sign", vector(*[1] * 100), vector(*[0] * 99, 2)),  # the last one is no delta's
        ("topk:0.1/sign", vector(*[3e38] * 99, 5), vector(*[-3e38] * 99, 5)),
        ("topk:1/float32", vector(*range(100)), vector(*[0] * 99, 99)),  # not smaller
    ],
    ids=["as asked", "statistics", "beyond float32", "no smaller"],
)
def test_the_whole_model_is_sent_where_a_difference_is_no_way(
    spec: str, model: Vector, held: Vector
) -> None:
    sent = send(spec, model, held, 99)
    assert sent.payload is None
    np.testing.assert_array_equal(sent.held, model)


@pytest.mark.parametrize(
    ("n", "spans"),
    [(0, []), (1, [1]), (5, [1, 5]), (8, [1, 8]), (9, [1, 8, 9]), (64, [1, 8, 64])],
)
def test_bundles_hold_the_last_broadcasts(n: int, spans: list[int]) -> None:
    payloads = [b"payload %d" % number for number in range(n)]
    found = bundles(payloads, 10_000)
    assert [bundle.entry.n_rounds for bundle in found] == spans
    for bundle in found:
        assert Broadcasts.from_bytes(bundle.data).payloads == payloads[-bundle.entry.n_rounds :]
        assert bundle.entry.blob.sha256 == hashlib.sha256(bundle.data).digest()
        assert bundle.entry.blob.size_bytes == len(bundle.data)


def test_a_bundle_no_smaller_than_the_model_is_not_offered() -> None:
    assert [b.entry.n_rounds for b in bundles([bytes(100)] * 20, 900)] == [1, 8]
    assert bundles([bytes(100)], 100) == ()


def test_as_many_are_kept_as_the_longest_bundle_holds() -> None:
    assert max(SPANS) == KEPT
