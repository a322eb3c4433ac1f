"""Sparse bodies are read exactly as the NumPy twins read them."""

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from fedge import _kernels
from fedge._kernels import reference
from tests.support.kernel_vectors import assert_same_bits, codes_of, index_sets, packed, seeds


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
    if is_valid:
        assert np.isfinite(values).all()
        assert np.all(np.diff(indices.astype(np.int64)) > 0)
