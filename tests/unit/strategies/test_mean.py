"""The cohort mean: by hand, then in every order."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedge import codecs
from fedge.strategies import mean_of_payloads, weighted_mean, weights
from fedge.types import DeviceId, Update


def an_update(delta: list[float], n_examples: int) -> Update:
    return Update(delta=np.array(delta, np.float32), n_examples=n_examples, n_steps=1, loss=0.0)


def test_weights_are_shares_of_the_examples() -> None:
    assert weights([3, 1]) == [0.75, 0.25]
    assert weights([1, 2]) == [float(np.float32(1 / 3)), float(np.float32(2 / 3))]


def test_weighted_mean_by_hand() -> None:
    cohort = {DeviceId("a"): an_update([1, 0], 3), DeviceId("b"): an_update([5, 4], 1)}
    np.testing.assert_array_equal(weighted_mean(cohort), np.array([2, 1], np.float32))


def test_no_updates_have_no_mean() -> None:
    with pytest.raises(ValueError, match="at least one update"):
        weighted_mean({})
    with pytest.raises(ValueError, match="at least one update"):
        mean_of_payloads([], [], 1)


@given(st.permutations(range(6)))
def test_mean_does_not_depend_on_arrival_order(order: list[int]) -> None:
    devices = [(DeviceId(f"d{i}"), an_update([0.1 * i, 1e8 - i, -3.3], i + 1)) for i in range(6)]
    want = weighted_mean(dict(devices))
    assert weighted_mean(dict(devices[i] for i in order)).tobytes() == want.tobytes()


@pytest.mark.parametrize("spec", ["none", "int8", "topk:0.25/sign", "topk:0.25/float32"])
@given(seed=st.integers(0, 2**32 - 1), n_devices=st.integers(1, 5))
def test_the_streamed_mean_has_the_bits_of_its_plain_twin(
    spec: str, seed: int, n_devices: int
) -> None:
    rng, codec = np.random.default_rng(seed), codecs.get(spec)
    payloads, cohort = [], {}
    for number in range(n_devices):
        delta = rng.normal(size=40).astype(np.float32)
        residual = np.zeros(40, np.float32) if codec.uses_residual else None
        payloads.append(codec.encode(delta, residual, rng))
        decoded = codec.decode(payloads[-1]).to_dense()
        cohort[DeviceId(f"d{number}")] = an_update(list(decoded), number + 1)
    got = mean_of_payloads([u.n_examples for u in cohort.values()], payloads, 40)
    # Equal as numbers: where nothing was sent, one may hold -0.0 and the other 0.0.
    np.testing.assert_array_equal(got, weighted_mean(cohort))
