"""Columns that are not sent whole: by hand, against what they are without gaps, and twins."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from fedge import _kernels
from fedge._kernels import reference
from fedge.types import Vector
from tests.support.kernel_vectors import assert_same_bits

PRESENT = [_kernels.present_tile, reference.present_tile]
NEAREST = [_kernels.nearest_tile, reference.nearest_tile]
NAN = np.nan
NANS = np.array([0x7FC00000, 0xFFC00001, 0x7F800001, 0xFF812345], np.uint32).view(np.float32)
UNKIND = np.array([np.inf, -np.inf, 3e38, -3e38, 1e-45, -0.0, 0, 1, 1, -1], np.float32)


def _apply(kernel: Callable[..., None], rows: Vector, number: int) -> Vector:
    out = np.full(rows.shape[1], 7, np.float32)
    kernel(rows, number, out)
    return out


@st.composite
def matrices(draw: st.DrawFn) -> Vector:
    """With gaps of all shares, even in some tiles alone; with ties, infinities and subnormals."""
    n, d = draw(st.integers(1, 40)), draw(st.sampled_from([0, 1, 63, 64, 65, 130, 520]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rows = rng.standard_normal((n, d), dtype=np.float32)
    if draw(st.booleans()):
        rows = np.round(2 * rows)
    unkind = rng.random((n, d)) < draw(st.sampled_from([0, 0.1, 0.9]))
    rows[unkind] = rng.choice(UNKIND, int(unkind.sum()))
    gaps = rng.random((n, d)) < draw(st.sampled_from([0, 0.001, 0.3, 0.99, 1]))
    rows[gaps] = rng.choice(NANS, int(gaps.sum()))
    return rows


@pytest.mark.parametrize("kernel", PRESENT)
def test_median_by_hand(kernel: Callable[..., None]) -> None:
    rows = np.array(
        [
            # all sent, an odd number, an even number, one, none
            [1, 6, NAN, NAN, NAN],
            [2, NAN, 3, NAN, NAN],
            [4, 9, NAN, 8, NAN],
            [9, 12, 5, NAN, NAN],
        ],
        np.float32,
    )
    assert _apply(kernel, rows, 4).tolist() == [3, 9 * 0.75, 4 * 0.5, 8 * 0.25, 0]


@pytest.mark.parametrize("kernel", PRESENT)
def test_trimmed_mean_by_hand(kernel: Callable[..., None]) -> None:
    rows = np.array(
        [[-9, 1, 7, 2], [1, 2, NAN, NAN], [2, 3, 1, 4], [3, 100, 2, NAN], [99, NAN, NAN, NAN]],
        np.float32,
    )
    # Of five, four and three values, one is trimmed of each side; of two, none.
    want = np.array([2, 2.5 * 0.8, 2 * 0.6, 3 * 0.4], np.float32)
    np.testing.assert_allclose(_apply(kernel, rows, 1), want, rtol=2**-22)


@pytest.mark.parametrize("kernel", NEAREST)
def test_nearest_by_hand(kernel: Callable[..., None]) -> None:
    rows = np.array([[0, 0, NAN], [10, 1, NAN], [11, 2, 8], [12, 3, NAN], [14, 4, NAN]], np.float32)
    # Medians 11, 2 and 8: 10, 11, 12; then 1, 2, 3; one value of five.
    assert _apply(kernel, rows, 3).tolist() == [11, 2, np.float32(8) * np.float32(0.2)]
    # Two of them: 10 and 11 are as near as 11 and 12, 1 and 2 as 2 and 3, and lower.
    assert _apply(kernel, rows, 2).tolist() == [10.5, 1.5, np.float32(8) * np.float32(0.2)]
    assert _apply(kernel, rows[:, :2].copy(), 4).tolist() == [47 / 4, 1.5]


@pytest.mark.parametrize("kernel", NEAREST)
def test_of_few_values_as_many_are_left_out_but_never_the_median(
    kernel: Callable[..., None],
) -> None:
    """Five rows, of which three are nearest: two are left out."""
    rows = np.full((5, 4), NAN, np.float32)
    rows[:4, 0] = [1, 2, 9, 3]  # four: two are left
    rows[:3, 1] = [1, 9, 3]  # three: one is
    rows[:2, 2] = [1, 9]  # two: both, as they make the median
    rows[:1, 3] = [9]
    want = np.array([2.5 * 0.8, 3 * 0.6, 5 * 0.4, 9 * 0.2], np.float32)
    np.testing.assert_allclose(_apply(kernel, rows, 3), want, rtol=2**-22)


@given(matrices(), st.integers(0, 45))
@example(np.full((3, 70), -0.0, np.float32), 1)
@example(np.array([[-0.0], [NAN]], np.float32), 1)
def test_present_tile(rows: Vector, f: int) -> None:
    got, want = (_apply(kernel, rows, f) for kernel in PRESENT)
    assert_same_bits(got, want)


@given(matrices(), st.integers(0, 99))
@example(np.full((3, 70), -0.0, np.float32), 1)
def test_nearest_tile(rows: Vector, k: int) -> None:
    k = 1 + k % len(rows)
    got, want = (_apply(kernel, rows, k) for kernel in NEAREST)
    assert_same_bits(got, want)


@given(matrices(), st.integers(0, 45))
def test_without_gaps_it_is_the_ordinary_rule(rows: Vector, f: int) -> None:
    rows = np.nan_to_num(rows, nan=0.5, posinf=np.inf, neginf=-np.inf)
    n, want = len(rows), np.empty(rows.shape[1], np.float32)
    f = min(f, (n - 1) // 2)
    _kernels.robust_tile(rows, f, n - f, want)
    assert_same_bits(_apply(_kernels.present_tile, rows, f), want)
    assert_same_bits(_apply(_kernels.present_tile, rows, n), _median(rows))


def _median(rows: Vector) -> Vector:
    out = np.empty(rows.shape[1], np.float32)
    _kernels.robust_tile(rows, (len(rows) - 1) // 2, len(rows) // 2 + 1, out)
    return out


@given(st.integers(1, 40), st.integers(0, 2**32 - 1), st.integers(0, 99))
def test_the_nearest_are_those_of_a_sort_by_distance(n: int, seed: int, k: int) -> None:
    k = 1 + k % n
    assume(k > 1 or n % 2)  # the two in the middle of an even number are equally near
    rows = np.random.default_rng(seed).standard_normal((n, 130), dtype=np.float32)
    middle = np.median(rows, axis=0)
    order = np.argsort(abs(rows - middle), axis=0, kind="stable")[:k]
    want = np.take_along_axis(rows, order, axis=0).mean(axis=0, dtype=np.float64)
    np.testing.assert_allclose(_apply(_kernels.nearest_tile, rows, k), want, atol=1e-6)


@given(matrices(), st.integers(0, 45), st.integers(0, 2**32 - 1))
def test_the_order_of_the_rows_does_not_matter(rows: Vector, f: int, seed: int) -> None:
    other = rows[np.random.default_rng(seed).permutation(len(rows))]
    for kernel, number in ((_kernels.present_tile, f), (_kernels.nearest_tile, 1 + f % len(rows))):
        assert_same_bits(_apply(kernel, rows, number), _apply(kernel, other, number))


def test_rows_may_lie_apart_but_their_values_not() -> None:
    whole = np.random.default_rng(0).standard_normal((9, 300)).astype(np.float32)
    for kernel in (*PRESENT, *NEAREST):
        part = _apply(kernel, whole[::-2, 7:107], 2)
        assert_same_bits(part, _apply(kernel, whole[::-2, 7:107].copy(), 2))
        with pytest.raises(ValueError, match="adjacent"):
            _apply(kernel, whole.T, 1)


@pytest.mark.parametrize("kernel", [*PRESENT, *NEAREST])
def test_an_output_of_another_length_is_refused(kernel: Callable[..., None]) -> None:
    with pytest.raises(ValueError, match="column"):
        kernel(np.zeros((3, 5), np.float32), 1, np.zeros(4, np.float32))


@pytest.mark.parametrize("kernel", [*PRESENT, *NEAREST])
def test_no_rows_and_too_many_rows_are_refused(kernel: Callable[..., None]) -> None:
    for n in (0, 65537):
        with pytest.raises(ValueError, match="rows"):
            _apply(kernel, np.zeros((n, 1), np.float32), 1)


@pytest.mark.parametrize("kernel", PRESENT)
def test_a_negative_number_to_trim_is_refused(kernel: Callable[..., None]) -> None:
    with pytest.raises(ValueError, match="negative"):
        _apply(kernel, np.zeros((3, 1), np.float32), -1)


@pytest.mark.parametrize("kernel", NEAREST)
@pytest.mark.parametrize("k", [-1, 0, 4])
def test_more_or_fewer_nearest_than_there_are_rows_are_refused(
    kernel: Callable[..., None], k: int
) -> None:
    with pytest.raises(ValueError, match="from 1 to the number of rows"):
        _apply(kernel, np.zeros((3, 1), np.float32), k)
