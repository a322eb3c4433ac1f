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
