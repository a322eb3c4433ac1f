"""The kernels of the context coder compute exactly what their Python twins compute."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fedge import _kernels
from fedge._kernels import reference
from tests.support.kernel_vectors import assert_same_range, index_sets, seeds

kinds = st.sampled_from([1, 4, 8, 32])


def _codes(rng: np.random.Generator, k: int, bits: int) -> np.ndarray:
    if bits == 32:
        return rng.laplace(size=k).astype(np.float32).view(np.uint8)
    signs = rng.choice([-1, 1], k)
    largest = 2 ** (bits - 1) - 1
    levels = signs * np.clip(rng.laplace(scale=rng.choice([2, 40]), size=k), -largest, largest)
    return (signs if bits == 1 else levels).astype(np.int8).view(np.uint8)


def _scales(k: int) -> np.ndarray:
    return np.linspace(0x80, 0x7BFF, -(-k // 256)).astype(np.uint16)


def _pack(indices: np.ndarray, codes: np.ndarray, bits: int, n_params: int) -> bytes:
    """By the kernel, after it was held to its twin."""
    scales = _scales(indices.size)
    got, want = (np.full(24 * indices.size + 64, 0xAA, np.uint8) for _ in range(2))
    n_got = _kernels.pack_context(indices, codes, scales, bits, n_params, got)
    assert n_got == reference.pack_context(indices, codes, scales, bits, n_params, want)
    np.testing.assert_array_equal(got[:n_got], want[:n_got])
    if n_got:
        short = np.zeros(n_got - 1, np.uint8)
        assert _kernels.pack_context(indices, codes, scales, bits, n_params, short) == -1
    return got[:n_got].tobytes()


def _assert_same_reading(body: bytes, bits: int, n_params: int, k: int) -> np.ndarray | None:
    results = []
    for kernel in (_kernels.unpack_context, reference.unpack_context):
        indices, values = np.zeros(k, np.uint32), np.zeros(k, np.float32)
        results.append((kernel(body, bits, n_params, indices, values), indices, values))
    (is_valid, indices, values), (is_valid_too, *twins) = results
    assert is_valid == is_valid_too
    _assert_same_adding(body, bits, min(n_params, 3001), k)
    _assert_same_ranges(body, bits, n_params, k, is_valid=is_valid)
    if not is_valid:
        return None
    np.testing.assert_array_equal(indices, twins[0])
    np.testing.assert_array_equal(values.view(np.uint32), twins[1].view(np.uint32))
    assert np.isfinite(values).all()
    assert np.all(np.diff(indices.astype(np.int64)) > 0)
    assert indices.max(initial=0) < max(n_params, 1)
    return indices


def _assert_same_adding(body: bytes, bits: int, n_params: int, k: int) -> None:
    """Into as many parameters as are quickly made; a body for more is refused by both."""
    before = np.linspace(-1, 1, n_params, dtype=np.float32)
    results = []
    for kernel in (_kernels.scatter_add_context, reference.scatter_add_context):
        out = before.copy()
        results.append((kernel(body, bits, k, 0.3, out), out))
    (is_valid, out), (is_valid_too, twin) = results
    assert is_valid == is_valid_too
    np.testing.assert_array_equal(out.view(np.uint32), twin.view(np.uint32))
    assert is_valid or (out == before).all()


def _assert_same_ranges(body: bytes, bits: int, n_params: int, k: int, *, is_valid: bool) -> None:
    """One at the front, one in the middle, one to the end: that one has the verdict of the whole.

    They are compared with what was unpacked in tests/unit/codecs/test_ranges.py.
    """
    both = _kernels.fill_range_context, reference.fill_range_context
    middle, width = n_params // 3, min(300, n_params // 3)
    for start, size in ((0, width), (middle, width), (n_params - width, width)):
        part_is_valid = assert_same_range(*both, (body, bits, k, n_params), start, size)
        assert part_is_valid >= is_valid
    assert part_is_valid == is_valid


@pytest.mark.parametrize("kernel", [_kernels.fill_range_context, reference.fill_range_context])
@pytest.mark.parametrize(("start", "width"), [(-1, 1), (3, 3), (6, 0), (0, 6)])
def test_a_range_beyond_the_parameters_is_refused(
    kernel: Callable[..., bool], start: int, width: int
) -> None:
    with pytest.raises(ValueError, match="within the parameters"):
        kernel(b"", 8, 0, 5, start, np.zeros(width, np.float32))


@given(index_sets(), kinds, seeds)
@settings(max_examples=50, deadline=None)
@example(np.empty(0, np.uint32), 8, 0)
@example(np.arange(600, dtype=np.uint32), 1, 0)
@example(np.array([2**29 - 1], np.uint32), 32, 0)
def test_pack_and_unpack_context(indices: np.ndarray, bits: int, seed: int) -> None:
    codes = _codes(np.random.default_rng(seed), indices.size, bits)
    body = _pack(indices, codes, bits, 2**29)
    np.testing.assert_array_equal(_assert_same_reading(body, bits, 2**29, indices.size), indices)


def test_what_is_unpacked_is_what_was_packed() -> None:
    """By hand: values of either sign, and a level of zero."""
    indices = np.array([0, 7, 8, 900], np.uint32)
    codes = np.array([3, -127, 0, 64], np.int8).view(np.uint8)
    body = np.zeros(100, np.uint8)
    scales = np.array([0x3F00], np.uint16)  # a half
    n = _kernels.pack_context(indices, codes, scales, 8, 901, body)
    got, values = np.zeros(4, np.uint32), np.zeros(4, np.float32)
    assert _kernels.unpack_context(body[:n].data, 8, 901, got, values)
    assert got.tolist() == [0, 7, 8, 900]
    assert values.tolist() == [1.5, -63.5, 0, 32]
    out = np.ones(901, np.float32)
    assert _kernels.scatter_add_context(body[:n].data, 8, 4, 2.0, out)
    assert out[[0, 7, 8, 900]].tolist() == [4, -126, 1, 65]
    assert out.sum() == 897 + 4 - 126 + 1 + 65


@given(index_sets(3000), kinds, seeds, st.data())
@settings(max_examples=50, deadline=None)
def test_kernel_and_twin_refuse_the_same_bodies(
    indices: np.ndarray, bits: int, seed: int, data: st.DataObject
) -> None:
    body = bytearray(
        _pack(indices, _codes(np.random.default_rng(seed), indices.size, bits), bits, 3000)
    )
    for _ in range(data.draw(st.integers(0, 3))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    body = body[: data.draw(st.sampled_from([len(body), len(body) - 1, len(body) // 2]))]
    body += data.draw(st.sampled_from([b"", b"\0", b"\xff" * 9]))
    _assert_same_reading(bytes(body), bits, 3000, indices.size)


@given(st.binary(max_size=300), kinds, st.integers(0, 300), st.sampled_from([1, 300, 2**29]))
@settings(deadline=None)
@example(b"\x80\0" + b"\xff" * 200, 1, 200, 2**29)
@example(b"\x80\0", 1, 200, 2**29)
def test_kernel_and_twin_refuse_the_same_noise(body: bytes, bits: int, k: int, n: int) -> None:
    _assert_same_reading(body, bits, n, k)


@pytest.mark.parametrize("extra", [b"\0", b"\1", b"\xff"])
def test_a_byte_too_many_is_refused(extra: bytes) -> None:
    indices = np.arange(0, 3000, 7, dtype=np.uint32)
    codes = _codes(np.random.default_rng(0), indices.size, 8)
    body = _pack(indices, codes, 8, 3000)
    assert _assert_same_reading(body + bytes(8) + extra, 8, 3000, indices.size) is None
