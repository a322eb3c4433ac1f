"""Selection computes exactly what its NumPy twin computes."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fedge import _kernels
from fedge._kernels import reference
from fedge.types import Vector
from tests.support.kernel_vectors import (
    INFINITE_OR_NAN,
    assert_same_bits,
    finite,
    seeds,
)


def _select_by_sorting(values: Vector, k: int) -> np.ndarray:
    """An oracle that shares nothing with the twin: sort by magnitude, then by index."""
    order = np.lexsort((np.arange(values.size), -np.abs(values.astype(np.float64))))
    return np.array(sorted(i for i in order[:k] if values[i] != 0), np.uint32)


def _accumulate_and_select(
    kernel: Callable[..., int], residual: Vector, delta: Vector, k: int, spare: int = 0
) -> np.ndarray:
    """Indices; residual is changed. The less spare room, the more often the kernel sorts out."""
    work, indices = np.empty(3 * (k + 2048 + spare), np.uint32), np.empty(k, np.uint32)
    n_found = kernel(residual, delta, k, work, indices)
    assert n_found >= 0
    return indices[:n_found]


def test_accumulate_topk_by_hand() -> None:
    """Three of magnitude 2 compete for two places beside the 3: the first two win."""
    values = np.array([0, -2, 1, 2, 3, -2, 0], np.float32)
    for k, indices in ((3, [1, 3, 4]), (7, [1, 2, 3, 4, 5])):
        residual = np.zeros_like(values)
        got = _accumulate_and_select(_kernels.accumulate_topk, residual, values, k)
        assert got.tolist() == indices
        np.testing.assert_array_equal(residual, values)


@given(finite, st.floats(0, 1), seeds)
@example(np.zeros(300, np.float32), 0.5, 0)
@example(np.ones(300, np.float32), 0.5, 0)
def test_accumulate_topk(delta: Vector, fraction: float, seed: int) -> None:
    before = np.random.default_rng(seed).permutation(delta) / 2
    delta, k = delta / 2, round(fraction * delta.size)  # halves, so that no sum overflows
    got, want = before.copy(), before.copy()
    indices = _accumulate_and_select(_kernels.accumulate_topk, got, delta, k)
    twin = _accumulate_and_select(reference.accumulate_topk, want, delta, k)
    np.testing.assert_array_equal(indices, twin)
    assert_same_bits(got, want)
    np.testing.assert_array_equal(indices, _select_by_sorting(got, k))


@pytest.mark.parametrize("order", ["laplace", "ties", "rising", "falling", "a few", "one column"])
@pytest.mark.parametrize("k", [1, 10, 300, 3000, 20_000, 29_999])
def test_accumulate_topk_of_many_in_any_order(order: str, k: int) -> None:
    """The kernel samples to guess a threshold: whatever the guess, the result is exact."""
    rng, n = np.random.default_rng(k), 30_000
    values = {
        "laplace": rng.laplace(size=n),
        "ties": rng.integers(-2, 3, n),
        "rising": np.arange(n),
        "falling": -np.arange(n, 0, -1),
        "a few": rng.laplace(size=n) * (rng.random(n) < 0.01),
        "one column": np.where(np.arange(n) % 64 == 0, 9.0, rng.laplace(size=n) / 99),
    }[order].astype(np.float32)
    for spare in (0, k + 2048):
        residual = np.zeros_like(values)
        got = _accumulate_and_select(_kernels.accumulate_topk, residual, values, k, spare)
        np.testing.assert_array_equal(got, _select_by_sorting(values, k))
        np.testing.assert_array_equal(residual, values)


@pytest.mark.parametrize("bad", INFINITE_OR_NAN)
@pytest.mark.parametrize("place", [0, 70, 2047, 2048, 4999])
@pytest.mark.parametrize("kernel", [_kernels.accumulate_topk, reference.accumulate_topk])
def test_accumulate_topk_refuses_a_bad_sum_and_changes_nothing(
    kernel: Callable[..., int], place: int, bad: float
) -> None:
    residual, delta = np.ones(5000, np.float32), np.ones(5000, np.float32)
    delta[place] = bad
    assert kernel(residual, delta, 10, np.empty(9000, np.uint32), np.empty(10, np.uint32)) == -1
    np.testing.assert_array_equal(residual, np.ones(5000))
