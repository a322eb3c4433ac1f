"""Levels, of kept values and of all, are exactly those of the NumPy twins."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fedge import _kernels
from fedge._kernels import reference
from fedge.types import Vector
from tests.parity.vectors import (
    INFINITE_OR_NAN,
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
def test_kept_values_are_rounded_by_the_dice_of_dense_ones(values: Vector, seed: int) -> None:
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


@given(finite, seeds)
@example(np.array([LARGEST, -LARGEST, 0], np.float32), 0)
def test_quantise_dense(values: Vector, seed: int) -> None:
    got = np.zeros(values.size + 2 * n_blocks(values.size), np.uint8)
    want = np.zeros_like(got)
    assert _kernels.quantise_dense(values, seed, got)
    assert reference.quantise_dense(values, seed, want)
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("bad", INFINITE_OR_NAN)
@pytest.mark.parametrize("kernel", [_kernels.quantise_dense, reference.quantise_dense])
def test_quantise_dense_finds_what_is_not_finite(kernel: Callable[..., int], bad: float) -> None:
    values = np.ones(300, np.float32)
    values[299] = bad
    assert not kernel(values, 0, np.zeros(304, np.uint8))


@given(finite, st.sampled_from([8, 32]), st.floats(-4, 4, width=32))
def test_accumulate_dense(values: Vector, bits: int, weight: float) -> None:
    values = values / 8
    body = np.zeros(values.size + 2 * n_blocks(values.size), np.uint8)
    _kernels.quantise_dense(values, 1, body)
    source = values.tobytes() if bits == 32 else body.tobytes()
    got, want = np.ones_like(values), np.ones_like(values)
    assert _kernels.accumulate_dense(source, bits, weight, got)
    assert reference.accumulate_dense(source, bits, weight, want)
    assert_same_bits(got, want)


@given(st.binary(max_size=600), st.sampled_from([8, 32]), st.integers(0, 600))
def test_kernel_and_twin_refuse_the_same_dense_noise(body: bytes, bits: int, n: int) -> None:
    got, want = np.zeros(n, np.float32), np.zeros(n, np.float32)
    is_valid = _kernels.accumulate_dense(body, bits, 1.0, got)
    assert is_valid == reference.accumulate_dense(body, bits, 1.0, want)
    assert np.isfinite(got).all()
    assert_same_bits(got, want)


@given(values=arrays(np.float32, st.integers(0, 300), elements=st.floats(width=32)))
@example(values=np.full(17, np.finfo(np.float32).max, np.float32))
@example(values=np.array([1e-45, np.nan, 1], np.float32))
@example(values=np.zeros(0, np.float32))
def test_sum_of_squares(values: Vector) -> None:
    out = np.zeros(1), np.zeros(1)
    _kernels.sum_of_squares(values, out[0])
    reference.sum_of_squares(values, out[1])
    got, want = float(out[0][0]), float(out[1][0])
    assert got == want or (np.isnan(got) and np.isnan(want))
    assert np.isfinite(got) == np.isfinite(values).all()
    if np.isfinite(got):
        # fsum is exact but for its last rounding.
        exact = math.fsum(float(value) ** 2 for value in values)
        np.testing.assert_allclose(got, exact, rtol=1e-14)
