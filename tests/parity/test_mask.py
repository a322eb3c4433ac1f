"""The kernel of seeded masks computes exactly what its NumPy twin computes."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fedge import _kernels
from fedge._kernels import reference
from tests.support.kernel_vectors import assert_same_bits, seeds


@given(st.integers(0, 3000), st.integers(0, 3000), seeds)
@example(2**29, 3, 0)
@example(2**29, 2**15 + 1, 1)
def test_draw_mask(n_params: int, k: int, seed: int) -> None:
    k = min(k, n_params)
    results = []
    for kernel in (_kernels.draw_mask, reference.draw_mask):
        indices, widths = np.zeros(k, np.uint32), np.ones(k, np.float32)
        kernel(n_params, seed, indices, widths)
        results.append((indices, widths))
    for got, want in zip(*results, strict=True):
        assert_same_bits(got, want)
    indices, widths = results[0]
    covered = widths.astype(np.float64).sum()
    assert covered == pytest.approx(n_params if k else 0, rel=2**-24)  # exact up to widths of 2**24
    assert np.all(np.diff(indices.astype(np.int64)) > 0)
    assert indices.max(initial=0) < max(n_params, 1)


@pytest.mark.parametrize("kernel", [_kernels.draw_mask, reference.draw_mask])
def test_a_mask_cannot_have_more_places_than_there_are(kernel: Callable[..., None]) -> None:
    with pytest.raises(ValueError, match="n_params"):
        kernel(3, 0, np.zeros(4, np.uint32), np.zeros(4, np.float32))


@given(
    st.integers(0, 3000), st.integers(0, 3000), seeds, st.tuples(st.floats(0, 1), st.floats(0, 1))
)
@example(2**29, 2**15 + 1, 1, (0.9, 1.0))
def test_draw_mask_range(n_params: int, k: int, seed: int, cuts: tuple[float, float]) -> None:
    k = min(k, n_params)
    first, end = sorted(int(cut * k) for cut in cuts)
    indices, values = np.zeros(k, np.uint32), np.full(k, 0.3, np.float32)
    _kernels.draw_mask(n_params, seed, indices, values)
    for kernel in (_kernels.draw_mask_range, reference.draw_mask_range):
        places, part = np.zeros(end - first, np.uint32), np.full(end - first, 0.3, np.float32)
        kernel(n_params, seed, k, first, places, part)
        assert_same_bits(places, indices[first:end])
        assert_same_bits(part, values[first:end])


@pytest.mark.parametrize("kernel", [_kernels.draw_mask_range, reference.draw_mask_range])
@pytest.mark.parametrize(("n_params", "k", "first"), [(9, 5, 4), (9, 5, -1), (4, 5, 0), (9, -1, 0)])
def test_runs_that_a_mask_does_not_have_are_refused(
    kernel: Callable[..., None], n_params: int, k: int, first: int
) -> None:
    with pytest.raises(ValueError, match="runs"):
        kernel(n_params, 0, k, first, np.zeros(2, np.uint32), np.zeros(2, np.float32))
