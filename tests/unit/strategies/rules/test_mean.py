"""The cohort mean: by hand, then in every order, then against its plain twin."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedge import codecs, strategies
from fedge.strategies import Cohort, Mean, cohort_of
from fedge.strategies.rules import CohortError
from fedge.types import DeviceId, Update, Vector
from tests.support.cohorts import member, of_payloads, of_rows
from tests.support.plain import mean_of_payloads


def an_update(delta: Sequence[float], n_examples: int) -> Update:
    return Update(delta=np.array(delta, np.float32), n_examples=n_examples, n_steps=1, loss=0.0)


class Weights:
    """Deltas that only tell which weights they were asked for."""

    n_params = 1

    def __init__(self) -> None:
        self.seen: list[float] = []

    def weighted_sum(self, weights: strategies.Weights) -> Vector:
        self.seen = list(weights)
        return np.zeros(1, np.float32)

    def columns(self, start: int, stop: int, *, absent: float = 0.0) -> Vector:
        raise AssertionError("a mean reads no columns")


@pytest.mark.parametrize(
    ("n_examples", "want"), [([3, 1], [0.75, 0.25]), ([1, 2], [1 / 3, 2 / 3]), ([7], [1.0])]
)
def test_weights_are_shares_of_the_examples(n_examples: list[int], want: list[float]) -> None:
    deltas = Weights()
    members = [member(number, n_examples=n) for number, n in enumerate(n_examples)]
    Mean().combine(Cohort(tuple(members), deltas))
    assert deltas.seen == want


def test_mean_by_hand() -> None:
    cohort = of_rows([[1, 0], [5, 4]], [member(0, n_examples=3), member(1, n_examples=1)])
    np.testing.assert_array_equal(Mean().combine(cohort), np.array([2, 1], np.float32))


def test_no_updates_have_no_mean() -> None:
    with pytest.raises(ValueError, match="at least one update"):
        cohort_of({})
    with pytest.raises(CohortError, match="0 updates could be counted and the rule needs 1"):
        Mean().combine(of_payloads([], 1, []))


@given(st.permutations(range(6)))
def test_mean_does_not_depend_on_arrival_order(order: list[int]) -> None:
    devices = [(DeviceId(f"d{i}"), an_update([0.1 * i, 1e8 - i, -3.3], i + 1)) for i in range(6)]
    want = Mean().combine(cohort_of(dict(devices)))
    got = Mean().combine(cohort_of(dict(devices[i] for i in order)))
    assert got.tobytes() == want.tobytes()


@pytest.mark.parametrize("spec", ["none", "int8", "topk:0.25/sign", "topk:0.25/float32"])
@given(seed=st.integers(0, 2**32 - 1), n_devices=st.integers(1, 5))
def test_the_streamed_mean_has_the_bits_of_its_plain_twins(
    spec: str, seed: int, n_devices: int
) -> None:
    rng, codec = np.random.default_rng(seed), codecs.get(spec)
    payloads, updates = [], {}
    for number in range(n_devices):
        delta = rng.normal(size=40).astype(np.float32)
        residual = np.zeros(40, np.float32) if codec.uses_residual else None
        payloads.append(codec.encode(delta, residual, rng))
        decoded = codec.decode(payloads[-1]).to_dense()
        updates[DeviceId(f"d{number}")] = an_update(list(decoded), number + 1)
    in_memory = cohort_of(updates)
    got = Mean().combine(of_payloads(payloads, 40, in_memory.members))
    n_examples = [update.n_examples for update in updates.values()]
    assert got.tobytes() == mean_of_payloads(n_examples, payloads, 40).tobytes()
    # Equal as numbers: where nothing was sent, one may hold -0.0 and the other 0.0.
    np.testing.assert_array_equal(got, Mean().combine(in_memory))
