"""Order statistics down columns: by hand, against a plain sort, and kernel against twin."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fedge import _kernels
from fedge._kernels import reference
from fedge.types import Vector

BOTH = [_kernels.robust_tile, reference.robust_tile]
NANS = [0x7FC00000, 0xFFC00001, 0x7F800001, 0xFF812345]  # both signs, quiet and signalling
EDGES = [0x7F800000, 0xFF800000, 0x7F7FFFFF, 0xFF7FFFFF, 0, 0x80000000, 1, 0x80000001, 0x3F800000]
UNKIND = np.array([*NANS, *EDGES], np.uint32).view(np.float32)


def _apply(kernel: Callable[..., None], rows: Vector, low: int, high: int) -> Vector:
    out = np.full(rows.shape[1], 7, np.float32)
    kernel(rows, low, high, out)
    return out


@pytest.mark.parametrize("kernel", BOTH)
def test_by_hand(kernel: Callable[..., None]) -> None:
    rows = np.array([[5, -1], [1, np.nan], [3, -np.inf], [2, 4]], np.float32)
    assert _apply(kernel, rows, 0, 1).tolist() == [1, -np.inf]
    assert _apply(kernel, rows, 1, 3).tolist() == [2.5, 1.5]
    assert _apply(kernel, rows, 2, 3).tolist() == [3, 4]
    assert np.isnan(_apply(kernel, rows, 3, 4)).tolist() == [False, True]


@pytest.mark.parametrize("n", range(1, 14))
def test_every_rank_of_every_order_of_zeros_and_ones(n: int) -> None:
    """A network of comparators that sorts all zeros and ones sorts everything (Knuth 5.3.4)."""
    orders = np.array(list(itertools.product([0, 1], repeat=n)), np.float32).T.copy()
    n_ones = orders.sum(axis=0)
    for rank in range(n):
        got = _apply(_kernels.robust_tile, orders, rank, rank + 1)
        np.testing.assert_array_equal(got, (rank >= n - n_ones).astype(np.float32))


@pytest.mark.parametrize("n", [1, 2, 3, 10, 33, 64, 100, 129, 300])
def test_every_rank_is_that_of_a_plain_sort(n: int) -> None:
    rows = np.random.default_rng(n).integers(-n, n, (n, 70)).astype(np.float32)
    ordered = np.sort(rows, axis=0)
    for rank in range(0, n, max(1, n // 20)):
        np.testing.assert_array_equal(
            _apply(_kernels.robust_tile, rows, rank, rank + 1), ordered[rank]
        )


@given(
    st.integers(1, 70),
    st.sampled_from([0, 1, 63, 64, 65, 127, 511, 512, 513, 1030]),
    st.sampled_from([1e-44, 1e-3, 3e37]),
    st.integers(0, 2**32 - 1),
    st.data(),
)
@example(70, 64, 3e37, 0, None)
def test_kernel_computes_the_bits_of_its_twin(
    n: int, d: int, scale: float, seed: int, data: st.DataObject | None
) -> None:
    rng = np.random.default_rng(seed)
    rows = (rng.standard_normal((n, d)) * scale).astype(np.float32)
    rows[rng.random((n, d)) < rng.choice([0, 0.1, 0.9])] = 0
    unkind = rng.random((n, d)) < rng.choice([0, 0.1, 0.9])
    rows[unkind] = rng.choice(UNKIND, int(unkind.sum()))
    low = data.draw(st.integers(0, n - 1)) if data else 0
    high = data.draw(st.integers(low + 1, n)) if data else n
    got, want = (_apply(kernel, rows, low, high) for kernel in BOTH)
    np.testing.assert_array_equal(got.view(np.uint32), want.view(np.uint32))


def test_rows_may_lie_apart_but_their_values_not() -> None:
    whole = np.random.default_rng(0).standard_normal((9, 300)).astype(np.float32)
    part = _apply(_kernels.robust_tile, whole[::-2, 7:107], 1, 3)
    np.testing.assert_array_equal(
        part, _apply(_kernels.robust_tile, whole[::-2, 7:107].copy(), 1, 3)
    )
    for kernel in BOTH:
        with pytest.raises(ValueError, match="adjacent"):
            _apply(kernel, whole.T, 0, 1)


@pytest.mark.parametrize("kernel", BOTH)
@pytest.mark.parametrize(("low", "high"), [(-1, 1), (0, 0), (1, 1), (2, 1), (0, 4), (3, 4)])
def test_ranks_outside_the_rows_are_refused(
    kernel: Callable[..., None], low: int, high: int
) -> None:
    with pytest.raises(ValueError, match="ranks"):
        _apply(kernel, np.zeros((3, 5), np.float32), low, high)


@pytest.mark.parametrize("kernel", BOTH)
def test_an_output_of_another_length_is_refused(kernel: Callable[..., None]) -> None:
    with pytest.raises(ValueError, match="column"):
        kernel(np.zeros((3, 5), np.float32), 0, 1, np.zeros(4, np.float32))


@pytest.mark.parametrize("kernel", BOTH)
def test_no_rows_and_too_many_rows_are_refused(kernel: Callable[..., None]) -> None:
    for n in (0, 65537):
        with pytest.raises(ValueError, match="ranks"):
            _apply(kernel, np.zeros((n, 1), np.float32), 0, 1)
