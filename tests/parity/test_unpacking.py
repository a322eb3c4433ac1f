"""Sparse bodies are read exactly as the NumPy twins read them."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fedge import _kernels
from fedge._kernels import reference
from tests.support.kernel_vectors import (
    assert_same_bits,
    assert_same_range,
    codes_of,
    index_sets,
    packed,
    ranges,
    seeds,
)


@given(index_sets(), st.sampled_from([1, 4, 8, 32]), seeds)
@example(np.empty(0, np.uint32), 8, 0)
@example(np.arange(256, dtype=np.uint32), 1, 0)
def test_unpack(indices: np.ndarray, bits: int, seed: int) -> None:
    codes = codes_of(np.random.default_rng(seed), indices.size, bits)
    body = packed(_kernels.pack, indices, codes, bits)
    results = []
    for kernel in (_kernels.unpack, reference.unpack):
        got, values = np.empty_like(indices), np.empty(indices.size, np.float32)
        assert kernel(body, bits, 2**29, got, values)
        np.testing.assert_array_equal(got, indices)
        results.append(values)
    assert_same_bits(*results)
    if bits == 32:
        assert_same_bits(results[0], codes.view(np.float32))


@given(index_sets(5000), st.sampled_from([1, 4, 8, 32]), seeds, st.floats(-4, 4, width=32))
def test_scatter_add_stream(indices: np.ndarray, bits: int, seed: int, weight: float) -> None:
    rng = np.random.default_rng(seed)
    body = packed(_kernels.pack, indices, codes_of(rng, indices.size, bits), bits)
    got = rng.laplace(size=5000).astype(np.float32)
    want = got.copy()
    assert _kernels.scatter_add_stream(body, bits, indices.size, weight, got)
    assert reference.scatter_add_stream(body, bits, indices.size, weight, want)
    assert_same_bits(got, want)


@given(index_sets(5000), st.sampled_from([1, 4, 8, 32]), seeds, ranges(5000))
@example(np.arange(600, dtype=np.uint32), 8, 0, (0, 256))
@example(np.arange(600, dtype=np.uint32), 8, 0, (0, 0))
@example(np.empty(0, np.uint32), 1, 0, (4000, 1000))
def test_fill_range_stream(
    indices: np.ndarray, bits: int, seed: int, bounds: tuple[int, int]
) -> None:
    codes = codes_of(np.random.default_rng(seed), indices.size, bits)
    body = packed(_kernels.pack, indices, codes, bits)
    assert _assert_same_range(body, bits, indices.size, 5000, bounds)
    (start, width), got = bounds, np.zeros(bounds[1], np.float32)
    whole = np.zeros(5000, np.float32)
    _kernels.scatter_add_stream(body, bits, indices.size, 1.0, whole)
    _kernels.fill_range_stream(body, bits, indices.size, 5000, start, got)
    np.testing.assert_array_equal(got, whole[start : start + width])


def _assert_same_range(
    body: bytes, bits: int, n_kept: int, n_params: int, bounds: tuple[int, int]
) -> bool:
    both = _kernels.fill_range_stream, reference.fill_range_stream
    return assert_same_range(*both, (body, bits, n_kept, n_params), *bounds)


def test_what_follows_the_range_is_not_looked_at() -> None:
    indices = np.arange(600, dtype=np.uint32)
    body = packed(_kernels.pack, indices, codes_of(np.random.default_rng(0), 600, 8), 8)
    broken = body[:-100] + bytes(100)
    assert _assert_same_range(broken, 8, 600, 600, (100, 156))
    assert not _assert_same_range(broken, 8, 600, 600, (100, 500))


@pytest.mark.parametrize("kernel", [_kernels.fill_range_stream, reference.fill_range_stream])
@pytest.mark.parametrize(("start", "width"), [(-1, 1), (3, 3), (6, 0), (0, 6)])
def test_a_range_beyond_the_parameters_is_refused(
    kernel: Callable[..., bool], start: int, width: int
) -> None:
    with pytest.raises(ValueError, match="within the parameters"):
        kernel(b"", 8, 0, 5, start, np.zeros(width, np.float32))


@given(index_sets(3000), st.sampled_from([1, 4, 8, 32]), seeds, st.data())
def test_kernel_and_twin_refuse_the_same_bodies(
    indices: np.ndarray, bits: int, seed: int, data: st.DataObject
) -> None:
    """Damage a body where it hurts: anywhere, but most of all in the heads of blocks."""
    rng = np.random.default_rng(seed)
    body = bytearray(packed(_kernels.pack, indices, codes_of(rng, indices.size, bits), bits))
    for _ in range(data.draw(st.integers(1, 3))):
        position = data.draw(
            st.one_of(st.integers(0, min(8, len(body) - 1)), st.integers(0, len(body) - 1))
        )
        body[position] = data.draw(st.sampled_from([0, 1, 0x1D, 0x7F, 0xFF]))
    body = body[: data.draw(st.sampled_from([len(body), len(body) - 1, len(body) // 2]))]
    _assert_same_refusal(bytes(body), bits, indices.size)


@given(st.binary(max_size=600), st.sampled_from([1, 4, 8, 32]), st.integers(0, 600))
@example(bytes.fromhex("800000") + b"\0" * 200, 1, 300)  # an endless unary run
@example(bytes.fromhex("80001d") + b"\xff" * 200, 1, 3)  # a Rice parameter beyond all indices
@example(bytes.fromhex("80001c") + b"\xff" * 3 + bytes.fromhex("0f0200"), 1, 1)
def test_kernel_and_twin_refuse_the_same_noise(body: bytes, bits: int, n_kept: int) -> None:
    _assert_same_refusal(body, bits, n_kept)


def _assert_same_refusal(body: bytes, bits: int, n_kept: int) -> None:
    n_params = 3000
    got, want = np.zeros(n_params, np.float32), np.zeros(n_params, np.float32)
    is_valid = _kernels.scatter_add_stream(body, bits, n_kept, 1.0, got)
    assert is_valid == reference.scatter_add_stream(body, bits, n_kept, 1.0, want)
    assert_same_bits(got, want)  # untouched if refused
    indices, values = np.empty(n_kept, np.uint32), np.empty(n_kept, np.float32)
    assert is_valid == _kernels.unpack(body, bits, n_params, indices, values)
    assert is_valid == reference.unpack(body, bits, n_params, indices.copy(), values.copy())
    for bounds in ((0, 300), (1000, 2000)):  # the second one to the end
        part_is_valid = _assert_same_range(body, bits, n_kept, n_params, bounds)
        assert part_is_valid >= is_valid
    assert part_is_valid == is_valid
    if is_valid:
        assert np.isfinite(values).all()
        assert np.all(np.diff(indices.astype(np.int64)) > 0)
