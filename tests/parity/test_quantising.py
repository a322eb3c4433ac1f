"""Kept values are rounded exactly as the NumPy twin rounds them."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fedge import _kernels
from fedge._kernels import reference
from fedge.types import Vector
from tests.support.kernel_vectors import (
    LARGEST,
    assert_same_bits,
    finite,
    n_blocks,
    seeds,
)


def test_quantise_kept_by_hand() -> None:
    """The largest magnitude 7 has level 7, so the scale is 1; 2.25 becomes 2, the rest stays."""
    for kernel in (_kernels.quantise_kept, reference.quantise_kept):
        residual = np.array([9, -7, 0.25, 2.25], np.float32)
        levels, scales = np.zeros(3, np.int8), np.zeros(1, np.uint16)
        kernel(residual, np.array([1, 2, 3], np.uint32), 4, None, levels, scales)
        assert levels.tolist() == [-7, 0, 2]
        assert scales[0] == 0x3F80  # 1 as bf16
        assert residual.tolist() == [9, 0, 0.25, 0.25]


@given(finite, st.sampled_from([1, 4, 8]), st.one_of(st.none(), seeds), seeds)
@example(np.array([LARGEST, -LARGEST], np.float32), 8, None, 0)  # the scale is capped
@example(np.array([LARGEST, -LARGEST], np.float32) / 8, 4, None, 0)
@example(np.array([LARGEST, -LARGEST], np.float32), 8, 1, 0)
@example(np.array([LARGEST, 1e-45], np.float32), 1, None, 0)
def test_quantise_kept(values: Vector, bits: int, seed: int | None, order: int) -> None:
    indices = np.random.default_rng(order).permutation(values.size).astype(np.uint32)
    results = []
    for kernel in (_kernels.quantise_kept, reference.quantise_kept):
        residual = values.copy()
        levels = np.zeros(indices.size, np.int8)
        scales = np.zeros(n_blocks(indices.size), np.uint16)
        kernel(residual, indices, bits, seed, levels, scales)
        results.append((residual, levels, scales))
    for got, want in zip(*results, strict=True):
        assert_same_bits(got, want)
    assert np.isfinite(results[0][0]).all()


@given(finite, seeds)
def test_kept_values_are_rounded_with_the_same_random_bits_as_dense_ones(
    values: Vector, seed: int
) -> None:
    levels, scales = np.zeros(values.size, np.int8), np.zeros(n_blocks(values.size), np.uint16)
    indices = np.arange(values.size, dtype=np.uint32)
    _kernels.quantise_kept(values.copy(), indices, 8, seed, levels, scales)
    body = np.zeros(values.size + 2 * scales.size, np.uint8)
    assert _kernels.quantise_dense(values, seed, body)
    blocks = [body[start : start + 258] for start in range(0, body.size, 258)]
    np.testing.assert_array_equal(scales.tobytes(), b"".join(b[:2].tobytes() for b in blocks))
    np.testing.assert_array_equal(levels.tobytes(), b"".join(b[2:].tobytes() for b in blocks))


@pytest.mark.parametrize("kernel", [_kernels.quantise_kept, reference.quantise_kept])
@pytest.mark.parametrize(
    ("indices", "bits", "n_scales", "message"),
    [([0, 1], 2, 1, "bits"), ([0, 5], 4, 1, "below"), ([0, 1], 4, 2, "each 256")],
)
def test_quantise_kept_refuses_what_does_not_fit(
    kernel: Callable[..., None], indices: list[int], bits: int, n_scales: int, message: str
) -> None:
    levels, scales = np.zeros(2, np.int8), np.zeros(n_scales, np.uint16)
    with pytest.raises(ValueError, match=message):
        kernel(np.ones(5, np.float32), np.array(indices, np.uint32), bits, None, levels, scales)
