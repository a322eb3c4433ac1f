"""Every compiled codec kernel computes exactly what its NumPy twin computes."""

import inspect
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fedge import _kernels
from fedge._kernels import reference
from fedge.types import Vector
from tests.parity.vectors import LARGEST, finite, index_sets

INFINITE_OR_NAN = [np.nan, np.inf, -np.inf]
seeds = st.integers(0, 2**32 - 1)


def _n_blocks(size: int, block: int = 256) -> int:
    return -(-size // block)


def _assert_same_bits(got: np.ndarray, want: np.ndarray) -> None:
    assert got.dtype == want.dtype
    np.testing.assert_array_equal(got.view(np.uint8), want.view(np.uint8))


@pytest.mark.parametrize("name", _kernels.__all__)
def test_twin_exists_with_the_same_parameters(name: str) -> None:
    kernel, twin = getattr(_kernels, name), getattr(reference, name)
    assert list(inspect.signature(kernel).parameters) == list(inspect.signature(twin).parameters)
    assert kernel is not twin


@given(finite, seeds)
@example(np.full(33, LARGEST, np.float32), 0)  # the sum overflows
def test_accumulate_blockmax(delta: Vector, seed: int) -> None:
    before = np.random.default_rng(seed).permutation(delta)
    results = []
    for kernel in (_kernels.accumulate_blockmax, reference.accumulate_blockmax):
        residual, maxima = before.copy(), np.zeros(_n_blocks(delta.size, 32), np.uint32)
        results.append((kernel(residual, delta, maxima), residual, maxima))
    (n_got, *got), (n_want, *want) = results
    assert n_got == n_want
    _assert_same_bits(got[0], want[0])
    _assert_same_bits(got[1], want[1])


@pytest.mark.parametrize("bad", INFINITE_OR_NAN)
@pytest.mark.parametrize("kernel", [_kernels.accumulate_blockmax, reference.accumulate_blockmax])
def test_accumulate_blockmax_stops_before_the_tile_with_a_bad_sum(
    kernel: Callable[..., int], bad: float
) -> None:
    residual, delta = np.ones(100, np.float32), np.ones(100, np.float32)
    delta[70] = bad
    assert kernel(residual, delta, np.zeros(4, np.uint32)) == 64
    np.testing.assert_array_equal(residual, [2] * 64 + [1] * 36)


def _select(values: Vector, k: int) -> np.ndarray:
    work = np.empty(2 * values.size, np.uint32)
    maxima, indices = np.empty(_n_blocks(values.size, 32), np.uint32), np.empty(k, np.uint32)
    _kernels.accumulate_blockmax(values.copy(), np.zeros_like(values), maxima)
    return indices[: _kernels.select_topk(values, maxima, k, work, indices)]


def _select_by_sorting(values: Vector, k: int) -> np.ndarray:
    """An oracle that shares nothing with the twin: sort by magnitude, then by index."""
    order = np.lexsort((np.arange(values.size), -np.abs(values.astype(np.float64))))
    return np.array(sorted(i for i in order[:k] if values[i] != 0), np.uint32)


def test_select_topk_by_hand() -> None:
    """Three of magnitude 2 compete for two places beside the 3: the first two win."""
    values = np.array([0, -2, 1, 2, 3, -2, 0], np.float32)
    assert _select(values, 3).tolist() == [1, 3, 4]
    assert _select(values, 7).tolist() == [1, 2, 3, 4, 5]


@given(finite, st.floats(0, 1))
@example(np.zeros(300, np.float32), 0.5)
@example(np.ones(300, np.float32), 0.5)
@example(np.full(3, 1e-45, np.float32), 0.5)
def test_select_topk(values: Vector, fraction: float) -> None:
    k = round(fraction * values.size)
    twin = np.empty(k, np.uint32)
    maxima, work = np.empty(_n_blocks(values.size, 32), np.uint32), np.empty(2 * values.size, "u4")
    n_twin = reference.select_topk(values, maxima, k, work, twin)
    got = _select(values, k)
    np.testing.assert_array_equal(got, twin[:n_twin])
    np.testing.assert_array_equal(got, _select_by_sorting(values, k))


@pytest.mark.parametrize("k", [1, 10, 300, 3000, 20_000, 29_999])
@pytest.mark.parametrize("n_levels", [2, 40, 2**20])
def test_select_topk_of_many(k: int, n_levels: int) -> None:
    rng = np.random.default_rng(k)
    values = rng.integers(-n_levels, n_levels, 30_000).astype(np.float32)
    np.testing.assert_array_equal(_select(values, k), _select_by_sorting(values, k))


def _accumulate_and_select(
    kernel: Callable[..., int], residual: Vector, delta: Vector, k: int, spare: int = 0
) -> np.ndarray:
    """Indices; residual is changed. The less spare room, the more often the kernel sorts out."""
    work, indices = np.empty(3 * (k + 2048 + spare), np.uint32), np.empty(k, np.uint32)
    n_found = kernel(residual, delta, k, work, indices)
    assert n_found >= 0
    return indices[:n_found]


@given(finite, st.floats(0, 1), seeds)
@example(np.zeros(300, np.float32), 0.5, 0)
@example(np.ones(300, np.float32), 0.5, 0)
def test_accumulate_topk(delta: Vector, fraction: float, seed: int) -> None:
    before = np.random.default_rng(seed).permutation(delta) / 2
    delta, k = delta / 2, round(fraction * delta.size)  # halves, so that no sum overflows
    got, want = before.copy(), before.copy()
    indices = _accumulate_and_select(_kernels.accumulate_topk, got, delta, k)
    twin = _accumulate_and_select(reference.accumulate_topk, want, delta, k)
    np.testing.assert_array_equal(indices, twin)
    _assert_same_bits(got, want)
    np.testing.assert_array_equal(indices, _select_by_sorting(got, k))


@pytest.mark.parametrize("order", ["laplace", "ties", "rising", "falling", "a few", "one column"])
@pytest.mark.parametrize("k", [1, 10, 300, 3000, 20_000, 29_999])
def test_accumulate_topk_of_many_in_any_order(order: str, k: int) -> None:
    """The kernel samples to guess a threshold: whatever the guess, the result is exact."""
    rng, n = np.random.default_rng(k), 30_000
    values = {
        "laplace": rng.laplace(size=n),
        "ties": rng.integers(-2, 3, n),
        "rising": np.arange(n),
        "falling": -np.arange(n, 0, -1),
        "a few": rng.laplace(size=n) * (rng.random(n) < 0.01),
        "one column": np.where(np.arange(n) % 64 == 0, 9.0, rng.laplace(size=n) / 99),
    }[order].astype(np.float32)
    for spare in (0, k + 2048):
        residual = np.zeros_like(values)
        got = _accumulate_and_select(_kernels.accumulate_topk, residual, values, k, spare)
        np.testing.assert_array_equal(got, _select_by_sorting(values, k))
        np.testing.assert_array_equal(residual, values)


@pytest.mark.parametrize("bad", INFINITE_OR_NAN)
@pytest.mark.parametrize("place", [0, 70, 2047, 2048, 4999])
@pytest.mark.parametrize("kernel", [_kernels.accumulate_topk, reference.accumulate_topk])
def test_accumulate_topk_refuses_a_bad_sum_and_changes_nothing(
    kernel: Callable[..., int], place: int, bad: float
) -> None:
    residual, delta = np.ones(5000, np.float32), np.ones(5000, np.float32)
    delta[place] = bad
    assert kernel(residual, delta, 10, np.empty(9000, np.uint32), np.empty(10, np.uint32)) == -1
    np.testing.assert_array_equal(residual, np.ones(5000))


@given(finite, st.sampled_from([1, 8]), seeds)
@example(np.array([LARGEST, -LARGEST], np.float32), 8, 0)  # the scale is capped
@example(np.array([LARGEST, 1e-45], np.float32), 1, 0)
def test_quantise_kept(values: Vector, bits: int, seed: int) -> None:
    indices = np.random.default_rng(seed).permutation(values.size).astype(np.uint32)
    results = []
    for kernel in (_kernels.quantise_kept, reference.quantise_kept):
        residual = values.copy()
        levels = np.zeros(indices.size, np.int8)
        scales = np.zeros(_n_blocks(indices.size), np.uint16)
        kernel(residual, indices, bits, levels, scales)
        results.append((residual, levels, scales))
    for got, want in zip(*results, strict=True):
        _assert_same_bits(got, want)
    assert np.isfinite(results[0][0]).all()


def _codes(rng: np.random.Generator, k: int, bits: int) -> np.ndarray:
    if bits == 32:
        return rng.laplace(size=k).astype(np.float32).view(np.uint8)
    levels = (
        rng.choice([-1, 1], k) if bits == 1 else np.clip(rng.laplace(scale=40, size=k), -127, 127)
    )
    return levels.astype(np.int8).view(np.uint8)


def _pack(pack: Callable[..., int], indices: np.ndarray, codes: np.ndarray, bits: int) -> bytes:
    scales = np.linspace(0x80, 0x7BFF, _n_blocks(indices.size)).astype(np.uint16)
    out = np.full(8 * indices.size + 16 * scales.size, 0xAA, np.uint8)
    return out[: pack(indices, codes, scales, bits, out)].tobytes()


@given(index_sets(), st.sampled_from([1, 8, 32]), seeds)
@example(np.empty(0, np.uint32), 8, 0)
@example(np.arange(256, dtype=np.uint32), 1, 0)
def test_pack_and_unpack(indices: np.ndarray, bits: int, seed: int) -> None:
    codes = _codes(np.random.default_rng(seed), indices.size, bits)
    body = _pack(_kernels.pack, indices, codes, bits)
    assert body == _pack(reference.pack, indices, codes, bits)
    results = []
    for kernel in (_kernels.unpack, reference.unpack):
        got, values = np.empty_like(indices), np.empty(indices.size, np.float32)
        assert kernel(body, bits, 2**29, got, values)
        np.testing.assert_array_equal(got, indices)
        results.append(values)
    _assert_same_bits(*results)
    if bits == 32:
        _assert_same_bits(results[0], codes.view(np.float32))


@given(index_sets(5000), st.sampled_from([1, 8, 32]), seeds, st.floats(-4, 4, width=32))
def test_scatter_add_stream(indices: np.ndarray, bits: int, seed: int, weight: float) -> None:
    rng = np.random.default_rng(seed)
    body = _pack(_kernels.pack, indices, _codes(rng, indices.size, bits), bits)
    got = rng.laplace(size=5000).astype(np.float32)
    want = got.copy()
    assert _kernels.scatter_add_stream(body, bits, indices.size, weight, got)
    assert reference.scatter_add_stream(body, bits, indices.size, weight, want)
    _assert_same_bits(got, want)


@given(index_sets(3000), st.sampled_from([1, 8, 32]), seeds, st.data())
def test_kernel_and_twin_refuse_the_same_bodies(
    indices: np.ndarray, bits: int, seed: int, data: st.DataObject
) -> None:
    """Damage a body where it hurts: anywhere, but most of all in the heads of blocks."""
    rng = np.random.default_rng(seed)
    body = bytearray(_pack(_kernels.pack, indices, _codes(rng, indices.size, bits), bits))
    for _ in range(data.draw(st.integers(1, 3))):
        position = data.draw(
            st.one_of(st.integers(0, min(8, len(body) - 1)), st.integers(0, len(body) - 1))
        )
        body[position] = data.draw(st.sampled_from([0, 1, 0x1D, 0x7F, 0xFF]))
    body = body[: data.draw(st.sampled_from([len(body), len(body) - 1, len(body) // 2]))]
    _assert_same_refusal(bytes(body), bits, indices.size)


@given(st.binary(max_size=600), st.sampled_from([1, 8, 32]), st.integers(0, 600))
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
    _assert_same_bits(got, want)  # untouched if refused
    indices, values = np.empty(n_kept, np.uint32), np.empty(n_kept, np.float32)
    assert is_valid == _kernels.unpack(body, bits, n_params, indices, values)
    assert is_valid == reference.unpack(body, bits, n_params, indices.copy(), values.copy())
    if is_valid:
        assert np.isfinite(values).all()
        assert np.all(np.diff(indices.astype(np.int64)) > 0)


@given(finite, seeds)
@example(np.array([LARGEST, -LARGEST, 0], np.float32), 0)
def test_quantise_dense(values: Vector, seed: int) -> None:
    got = np.zeros(values.size + 2 * _n_blocks(values.size), np.uint8)
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
    body = np.zeros(values.size + 2 * _n_blocks(values.size), np.uint8)
    _kernels.quantise_dense(values, 1, body)
    source = values.tobytes() if bits == 32 else body.tobytes()
    got, want = np.ones_like(values), np.ones_like(values)
    assert _kernels.accumulate_dense(source, bits, weight, got)
    assert reference.accumulate_dense(source, bits, weight, want)
    _assert_same_bits(got, want)


@given(st.binary(max_size=600), st.sampled_from([8, 32]), st.integers(0, 600))
def test_kernel_and_twin_refuse_the_same_dense_noise(body: bytes, bits: int, n: int) -> None:
    got, want = np.zeros(n, np.float32), np.zeros(n, np.float32)
    is_valid = _kernels.accumulate_dense(body, bits, 1.0, got)
    assert is_valid == reference.accumulate_dense(body, bits, 1.0, want)
    assert np.isfinite(got).all()
    _assert_same_bits(got, want)
