"""The kernels of rotated payloads compute exactly what their NumPy twins compute."""

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
    assert_same_range,
    finite,
    seeds,
)

bits = st.integers(1, 4)
SIZES = [0, 1, 2, 3, 5, 8, 31, 33, 100, 1024, 4095, 4096, 4097, 6143, 6144, 8192, 10_000]


def _size(n: int, bits: int) -> int:
    n_blocks = min(n, 1) if n < 4096 else (n + 2048) // 4096
    return 4 * n_blocks + -(-n * bits // 8)


def _normal(size: int, seed: int = 0) -> Vector:
    return np.random.default_rng(seed).normal(size=size).astype(np.float32)


def test_fwht_by_hand() -> None:
    values = np.array([1, 2, 3, 5], np.float32)
    _kernels.fwht(values)
    assert values.tolist() == [11, -3, -5, 1]


@pytest.mark.parametrize("exponent", range(18))
def test_fwht(exponent: int) -> None:
    values = _normal(1 << exponent)
    got, want = values.copy(), values.copy()
    _kernels.fwht(got)
    reference.fwht(want)
    assert_same_bits(got, want)
    _kernels.fwht(got)
    np.testing.assert_allclose(got / values.size, values, atol=1e-5)


@pytest.mark.parametrize("kernel", [_kernels.fwht, reference.fwht])
@pytest.mark.parametrize("size", [0, 3, 6, 4095])
def test_fwht_wants_a_power_of_two(kernel: Callable[[Vector], None], size: int) -> None:
    with pytest.raises(ValueError, match="power of two"):
        kernel(np.zeros(size, np.float32))


def _assert_same_body(values: Vector, seed: int, bits: int) -> None:
    got, want = (np.full(_size(values.size, bits), 0xAA, np.uint8) for _ in range(2))
    is_finite = _kernels.quantise_rotated(values, seed, bits, got)
    assert is_finite == reference.quantise_rotated(values, seed, bits, want)
    if not is_finite:
        return
    assert_same_bits(got, want)
    sums, twin_sums = np.ones_like(values), np.ones_like(values)
    assert _kernels.accumulate_rotated(got.data, seed, bits, 0.5, sums)
    assert reference.accumulate_rotated(got.data, seed, bits, 0.5, twin_sums)
    assert_same_bits(sums, twin_sums)


@given(finite, seeds, bits)
@example(np.full(33, LARGEST, np.float32), 0, 1)
@example(np.zeros(300, np.float32), 0, 2)
@example(np.full(64, 1e-45, np.float32), 0, 3)
def test_quantise_and_accumulate_rotated(values: Vector, seed: int, bits: int) -> None:
    _assert_same_body(values, seed, bits)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("bits", [1, 2, 3, 4])
def test_quantise_and_accumulate_rotated_around_blocks(size: int, bits: int) -> None:
    _assert_same_body(_normal(size), 2**32 - 1 - size, bits)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kernel", [_kernels.quantise_rotated, reference.quantise_rotated])
def test_quantise_rotated_finds_what_is_not_finite(kernel: Callable[..., bool], bad: float) -> None:
    values = _normal(5000)
    values[4999] = bad
    assert not kernel(values, 0, 1, np.zeros(_size(5000, 1), np.uint8))


@given(st.binary(max_size=300), seeds, bits, st.integers(0, 600))
@example(bytes.fromhex("0000806cff"), 0, 1, 8)  # the largest scale, 2**90
@example(bytes.fromhex("0100806cff"), 0, 1, 8)
@example(bytes.fromhex("ffff7f00ff"), 0, 1, 8)  # subnormal
@example(bytes.fromhex("00000080ff"), 0, 1, 8)  # minus zero is zero
@example(bytes.fromhex("0000c0ffff"), 0, 1, 8)
def test_kernel_and_twin_refuse_the_same_rotated_noise(
    body: bytes, seed: int, bits: int, n: int
) -> None:
    got, want = np.zeros(n, np.float32), np.zeros(n, np.float32)
    is_valid = _kernels.accumulate_rotated(body, seed, bits, 1.0, got)
    assert is_valid == reference.accumulate_rotated(body, seed, bits, 1.0, want)
    assert np.isfinite(got).all()
    assert_same_bits(got, want)


@given(seeds, bits, st.sampled_from(SIZES), st.tuples(st.floats(0, 1), st.floats(0, 1)))
@example(0, 3, 6143, (0.0, 1.0))
def test_fill_range_rotated(seed: int, bits: int, n: int, cuts: tuple[float, float]) -> None:
    body = np.empty(_size(n, bits), np.uint8)
    assert _kernels.quantise_rotated(_normal(n, seed), seed, bits, body)
    start, stop = sorted(int(cut * n) for cut in cuts)
    both = _kernels.fill_range_rotated, reference.fill_range_rotated
    assert assert_same_range(*both, (body.data, seed, bits, n), start, stop - start)
    whole, part = np.zeros(n, np.float32), np.empty(stop - start, np.float32)
    _kernels.accumulate_rotated(body.data, seed, bits, 1.0, whole)
    _kernels.fill_range_rotated(body.data, seed, bits, n, start, part)
    assert_same_bits(part, whole[start:stop])


@given(st.binary(max_size=300), seeds, bits, st.integers(0, 600), st.data())
def test_kernel_and_twin_refuse_the_same_ranges_of_noise(
    body: bytes, seed: int, bits: int, n: int, data: st.DataObject
) -> None:
    start = data.draw(st.integers(0, n))
    both = _kernels.fill_range_rotated, reference.fill_range_rotated
    assert_same_range(*both, (body, seed, bits, n), start, data.draw(st.integers(0, n - start)))


@pytest.mark.parametrize("block", [0, 1, 2])
def test_only_the_blocks_of_the_range_are_looked_at(block: int) -> None:
    body = np.empty(_size(12_288, 1), np.uint8)
    _kernels.quantise_rotated(_normal(12_288), 0, 1, body)
    body[516 * block : 516 * block + 4] = 0xFF  # its scale is no number
    for kernel in (_kernels.fill_range_rotated, reference.fill_range_rotated):
        for other in range(3):
            out = np.empty(4096, np.float32)
            assert kernel(body.data, 0, 1, 12_288, 4096 * other, out) == (other != block)


@pytest.mark.parametrize("kernel", [_kernels.fill_range_rotated, reference.fill_range_rotated])
@pytest.mark.parametrize(("start", "width"), [(-1, 1), (3, 3), (6, 0), (0, 6)])
def test_a_range_beyond_the_values_is_refused(
    kernel: Callable[..., bool], start: int, width: int
) -> None:
    with pytest.raises(ValueError, match="within the parameters"):
        kernel(bytes(5), 0, 1, 5, start, np.zeros(width, np.float32))
