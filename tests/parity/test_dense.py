"""Dense bodies and sums of squares are exactly those of the NumPy twins."""

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
from tests.support.kernel_vectors import (
    INFINITE_OR_NAN,
    LARGEST,
    assert_same_bits,
    assert_same_range,
    finite,
    n_blocks,
    seeds,
)


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


@given(finite, st.sampled_from([8, 32]), st.data())
@example(np.array([-0.0, 1, -0.0], np.float32), 32, None)
def test_fill_range_dense(values: Vector, bits: int, data: st.DataObject | None) -> None:
    body = np.zeros(values.size + 2 * n_blocks(values.size), np.uint8)
    _kernels.quantise_dense(values, 1, body)
    source = values.tobytes() if bits == 32 else body.tobytes()
    start = data.draw(st.integers(0, values.size)) if data else 0
    stop = data.draw(st.integers(start, values.size)) if data else values.size
    both = _kernels.fill_range_dense, reference.fill_range_dense
    assert assert_same_range(*both, (source, bits, values.size), start, stop - start)
    whole, part = np.zeros_like(values), np.empty(stop - start, np.float32)
    _kernels.accumulate_dense(source, bits, 1.0, whole)
    _kernels.fill_range_dense(source, bits, values.size, start, part)
    assert_same_bits(part, whole[start:stop])


@given(st.binary(max_size=600), st.sampled_from([8, 32]), st.integers(0, 600), st.data())
def test_kernel_and_twin_refuse_the_same_ranges_of_noise(
    body: bytes, bits: int, n: int, data: st.DataObject
) -> None:
    whole = _kernels.accumulate_dense(body, bits, 1.0, np.zeros(n, np.float32))
    both = _kernels.fill_range_dense, reference.fill_range_dense
    cut = data.draw(st.integers(0, n))
    parts = (0, cut), (cut, n - cut)
    assert all([assert_same_range(*both, (body, bits, n), *part) for part in parts]) == whole


@pytest.mark.parametrize("kernel", [_kernels.fill_range_dense, reference.fill_range_dense])
@pytest.mark.parametrize(("start", "width"), [(-1, 1), (3, 3), (6, 0), (0, 6)])
def test_a_range_beyond_the_parameters_is_refused(
    kernel: Callable[..., bool], start: int, width: int
) -> None:
    with pytest.raises(ValueError, match="within the parameters"):
        kernel(bytes(20), 32, 5, start, np.zeros(width, np.float32))


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
