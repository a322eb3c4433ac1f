"""The kernel of few levels: by hand, and against its NumPy twin."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fedge import _kernels
from fedge._kernels import reference
from fedge.types import Vector
from tests.parity.vectors import LARGEST, finite

KERNELS = [_kernels.quantise_levels, reference.quantise_levels]


@pytest.mark.parametrize("kernel", KERNELS)
def test_quantise_levels_by_hand(kernel: Callable[..., None]) -> None:
    """The largest magnitude 7 has level 7, so the scale is 1; 2.25 becomes 2, the rest stays."""
    residual = np.array([9, -7, 0.25, 2.25], np.float32)
    levels, scales = np.zeros(3, np.int8), np.zeros(1, np.uint16)
    kernel(residual, np.array([1, 2, 3], np.uint32), 7, levels, scales)
    assert levels.tolist() == [-7, 0, 2]
    assert scales[0] == 0x3F80  # 1 as bf16
    assert residual.tolist() == [9, 0, 0.25, 0.25]


@given(finite, st.sampled_from([1, 7, 127]), st.integers(0, 2**32 - 1))
@example(np.array([LARGEST, -LARGEST], np.float32), 7, 0)
def test_quantise_levels(values: Vector, largest: int, seed: int) -> None:
    values = values / 8  # so that a capped scale still reaches all
    indices = np.random.default_rng(seed).permutation(values.size).astype(np.uint32)
    results = []
    for kernel in KERNELS:
        residual, levels = values.copy(), np.zeros(indices.size, np.int8)
        scales = np.zeros(-(-indices.size // 256), np.uint16)
        kernel(residual, indices, largest, levels, scales)
        results.append((residual.view(np.uint32), levels, scales))
    for got, want in zip(*results, strict=True):
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(
    ("indices", "largest", "n_scales", "message"),
    [
        ([0, 1], 0, 1, "largest"),
        ([0, 1], 128, 1, "largest"),
        ([0, 5], 7, 1, "below"),
        ([0, 1], 7, 2, "each 256"),
    ],
)
def test_quantise_levels_refuses_what_does_not_fit(
    kernel: Callable[..., None], indices: list[int], largest: int, n_scales: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        kernel(
            np.ones(5, np.float32),
            np.array(indices, np.uint32),
            largest,
            np.zeros(2, np.int8),
            np.zeros(n_scales, np.uint16),
        )
