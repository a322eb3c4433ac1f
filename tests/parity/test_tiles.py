"""Products of rows: by hand, against exact sums, and kernel against twin."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fedge import _kernels
from fedge._kernels import reference
from fedge.types import Vector
from tests.support.kernel_vectors import assert_same_bits

GRAMS = [_kernels.gram_tile, reference.gram_tile]
CENTRES = [_kernels.centre_tile, reference.centre_tile]
MIXES = [_kernels.mix_tile, reference.mix_tile]
UNKIND = np.array([np.nan, np.inf, -np.inf, 3e38, -3e38, 1e-45, -0.0, 0], np.float32)
WIDTHS = [0, 1, 7, 8, 9, 63, 64, 65, 130, 1023, 1024, 1025, 2100]


@st.composite
def matrices(draw: st.DrawFn) -> Vector:
    """Of many sizes; some have a few values that are no numbers, subnormal, or nearly infinite."""
    n, width = draw(st.integers(0, 14)), draw(st.sampled_from(WIDTHS))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    scale = draw(st.sampled_from([1e-30, 1e-3, 1.0, 1e18]))
    rows = (rng.standard_normal((n, width)) * scale).astype(np.float32)
    unkind = rng.random((n, width)) < draw(st.sampled_from([0, 0, 0.001, 0.1]))
    rows[unkind] = rng.choice(UNKIND, int(unkind.sum()))
    return rows


def _gram(kernel: Callable[..., None], rows: Vector) -> np.ndarray:
    out = np.zeros((len(rows), len(rows)))
    kernel(rows, out)
    return out


@pytest.mark.parametrize("kernel", GRAMS)
def test_gram_by_hand(kernel: Callable[..., None]) -> None:
    rows = np.array([[1, 2, 0], [3, -1, 0.5]], np.float32)
    out = np.array([[100, 0], [0, 0]], np.float64)
    kernel(rows, out)
    assert out.tolist() == [[105, 1], [1, 10.25]]


@given(matrices())
@example(np.ones((50, 3000), np.float32))
def test_gram_tile(rows: Vector) -> None:
    got, want = _gram(_kernels.gram_tile, rows), _gram(reference.gram_tile, rows)
    assert_same_bits(got, want)
    assert_same_bits(got, got.T.copy())


def test_gram_is_nearer_to_the_exact_one_than_a_float32_sum_of_all() -> None:
    rows = np.random.default_rng(0).standard_normal((7, 50_000), dtype=np.float32)
    exact = rows.astype(np.float64) @ rows.T.astype(np.float64)
    lengths = np.sqrt(np.diag(exact))
    error = abs(_gram(_kernels.gram_tile, rows) - exact) / np.outer(lengths, lengths)
    assert error.max() < 128 * 2.0**-24 / 10  # a bound for 128 additions, of which chance uses few


def test_gram_does_not_depend_on_tiles_of_whole_parts() -> None:
    rows = np.random.default_rng(0).standard_normal((5, 7000), dtype=np.float32)
    out = np.zeros((5, 5))
    for start, stop in ((0, 1024), (1024, 4096), (4096, 7000)):
        _kernels.gram_tile(rows[:, start:stop].copy(), out)
    assert_same_bits(out, _gram(_kernels.gram_tile, rows))


@pytest.mark.parametrize("kernel", GRAMS)
@pytest.mark.parametrize("shape", [(2, 3), (3, 2), (4, 4)])
def test_gram_of_another_shape_is_refused(
    kernel: Callable[..., None], shape: tuple[int, int]
) -> None:
    with pytest.raises(ValueError, match="row and a column"):
        kernel(np.zeros((3, 5), np.float32), np.zeros(shape))


@pytest.mark.parametrize("kernel", CENTRES)
def test_centre_by_hand(kernel: Callable[..., None]) -> None:
    rows = np.array([[1, 5], [3, 5], [8, -4]], np.float32)
    kernel(rows)
    assert rows.tolist() == [[-3, 3], [-1, 3], [4, -6]]


@given(matrices())
def test_centre_tile(rows: Vector) -> None:
    got, want = rows.copy(), rows.copy()
    _kernels.centre_tile(got)
    reference.centre_tile(want)
    assert_same_bits(got, want)


@pytest.mark.parametrize("kernel", MIXES)
def test_mix_by_hand(kernel: Callable[..., None]) -> None:
    rows = np.array([[1, 2], [10, 20], [np.nan, np.inf]], np.float32)
    mixture = np.array([[1, 0.5, 0], [0, 0, 0]], np.float32)
    out = np.full((2, 2), 7, np.float32)
    kernel(mixture, rows, out)
    assert out.tolist() == [[6, 12], [0, 0]]


@given(matrices(), st.integers(0, 9), st.sampled_from([0, 0.2, 1]), st.integers(0, 2**32 - 1))
def test_mix_tile(rows: Vector, m: int, share: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    mixture = rng.standard_normal((m, len(rows)), dtype=np.float32)
    mixture[rng.random(mixture.shape) >= share] = 0
    results = [np.full((m, rows.shape[1]), 7, np.float32) for _ in MIXES]
    for kernel, out in zip(MIXES, results, strict=True):
        kernel(mixture, rows, out)
    assert_same_bits(*results)
    if share == 0:
        assert not results[0].any()


@pytest.mark.parametrize("kernel", MIXES)
@pytest.mark.parametrize(("mixture", "out"), [((2, 4), (2, 5)), ((2, 3), (3, 5)), ((2, 3), (2, 4))])
def test_a_mixture_that_does_not_fit_is_refused(
    kernel: Callable[..., None], mixture: tuple[int, int], out: tuple[int, int]
) -> None:
    arrays = (np.zeros(shape, np.float32) for shape in (mixture, (3, 5), out))
    with pytest.raises(ValueError, match="mixture must have"):
        kernel(*arrays)
