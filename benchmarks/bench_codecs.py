"""Encode and accumulate per spec and size, compared with a floor and with peers.

Run: pytest benchmarks/bench_codecs.py --benchmark-group-by=param:n_params
Compare medians within one run: memcpy of the delta is the floor; the peers are NumPy and whichever
of torch, bitsandbytes, pcodec and zstandard are installed. The NumPy and torch pipelines do less:
they neither pack nor entropy-code what they select.
"""

import itertools
import math
from typing import Any

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from fedge import _kernels, codecs
from fedge.types import Array, Vector

SIZES = [10_000, 1_000_000]
SPECS = [
    "topk:0.01/sign",
    "topk:0.01/int8",
    "topk:0.001/int8",
    "topk:0.1/int8",
    "topk:0.01/float32",
    "int8",
    "none",
]
WEIGHT = 0.5


def _delta(n_params: int, seed: int = 0) -> Vector:
    return np.random.default_rng(seed).laplace(scale=1e-3, size=n_params).astype(np.float32)


@pytest.mark.parametrize("n_params", SIZES)
def bench_memcpy(benchmark: BenchmarkFixture, n_params: int) -> None:
    delta = _delta(n_params)
    copy = np.zeros_like(delta)
    benchmark(np.copyto, copy, delta)
    np.testing.assert_array_equal(copy, delta)


@pytest.mark.parametrize("n_params", SIZES)
@pytest.mark.parametrize("spec", SPECS)
def bench_encode(benchmark: BenchmarkFixture, spec: str, n_params: int) -> None:
    """Each round starts from an empty residual, cleared outside the measured time."""
    codec, delta, rng = codecs.get(spec), _delta(n_params), np.random.default_rng(0)
    residual = np.zeros_like(delta) if codec.uses_residual else None

    def clear() -> None:
        if residual is not None:
            residual[:] = 0

    payload = benchmark.pedantic(  # type: ignore[no-untyped-call] # untyped library
        codec.encode, (delta, residual, rng), setup=clear, rounds=100, warmup_rounds=5
    )
    benchmark.extra_info["bytes"] = len(payload)
    sent = codecs.decode(payload).to_dense()
    if residual is not None:
        np.testing.assert_array_equal(residual + sent, delta)
    else:
        np.testing.assert_allclose(sent, delta, atol=np.abs(delta).max() / 126)


@pytest.mark.parametrize("n_params", SIZES)
@pytest.mark.parametrize("spec", SPECS)
def bench_accumulate(benchmark: BenchmarkFixture, spec: str, n_params: int) -> None:
    """Decode and weighted add of 32 updates in turn: one alone would stay in the cache."""
    payloads = [_encode(spec, _delta(n_params, seed)) for seed in range(32)]
    total = np.zeros(n_params, np.float32)
    codecs.accumulate(payloads[0], WEIGHT, total)
    np.testing.assert_array_equal(total, np.float32(WEIGHT) * codecs.decode(payloads[0]).to_dense())
    turns = itertools.cycle(payloads)
    benchmark(lambda: codecs.accumulate(next(turns), WEIGHT, total))


def _encode(spec: str, delta: Vector) -> bytes:
    codec = codecs.get(spec)
    residual = np.zeros_like(delta) if codec.uses_residual else None
    return codec.encode(delta, residual, np.random.default_rng(0))


@pytest.mark.parametrize("n_params", SIZES)
def bench_quantise_dense(benchmark: BenchmarkFixture, n_params: int) -> None:
    """int8's kernel alone: its encode also computes a checksum, over one byte per value."""
    delta = _delta(n_params)
    body = np.zeros(n_params + 2 * -(-n_params // 256), np.uint8)
    assert benchmark(_kernels.quantise_dense, delta, 1, body)
    decoded = np.zeros_like(delta)
    assert _kernels.accumulate_dense(body.data, 8, 1.0, decoded)
    np.testing.assert_allclose(decoded, delta, atol=np.abs(delta).max() / 126)


def _kept(n_params: int) -> tuple[Array, Array, Array]:
    """1 % of the indices, their levels and scales."""
    residual, k = _delta(n_params), math.ceil(0.01 * n_params)
    indices, work = np.empty(k, np.uint32), np.empty(6 * (k + 2048), np.uint32)
    _kernels.accumulate_topk(residual, np.zeros_like(residual), k, work, indices)
    levels, scales = np.empty(k, np.int8), np.empty(-(-k // 256), np.uint16)
    _kernels.quantise_kept(residual, indices, 8, None, levels, scales)
    return indices, levels, scales


@pytest.mark.parametrize("n_params", SIZES)
def bench_pack(benchmark: BenchmarkFixture, n_params: int) -> None:
    """Bytes of 1 % kept int8 values."""
    indices, levels, scales = _kept(n_params)
    out = np.zeros(8 * indices.size + 16 * scales.size, np.uint8)
    size = benchmark(_kernels.pack, indices, levels.view(np.uint8), scales, 8, out)
    benchmark.extra_info |= {"bytes": size, "kept": indices.size}
    got, values = np.empty_like(indices), np.empty(indices.size, np.float32)
    assert _kernels.unpack(out.data[:size], 8, n_params, got, values)
    np.testing.assert_array_equal(got, indices)


@pytest.mark.parametrize("n_params", SIZES)
def bench_unpack(benchmark: BenchmarkFixture, n_params: int) -> None:
    indices, levels, scales = _kept(n_params)
    out = np.zeros(8 * indices.size + 16 * scales.size, np.uint8)
    body = out.data[: _kernels.pack(indices, levels.view(np.uint8), scales, 8, out)]
    got, values = np.empty_like(indices), np.empty(indices.size, np.float32)
    benchmark.extra_info["kept"] = indices.size
    assert benchmark(_kernels.unpack, body, 8, n_params, got, values)
    np.testing.assert_array_equal(got, indices)


@pytest.mark.parametrize("n_params", SIZES)
@pytest.mark.parametrize("fraction", [0.01, 0.001])
def bench_numpy_encode(benchmark: BenchmarkFixture, fraction: float, n_params: int) -> None:
    """Accumulate, argpartition, int8 with one scale, residual; no packing."""
    delta, k = _delta(n_params), math.ceil(fraction * n_params)
    residual = np.zeros_like(delta)

    def encode() -> tuple[Array, Array, np.floating]:
        np.add(residual, delta, out=residual)
        indices = np.sort(np.argpartition(np.abs(residual), n_params - k)[n_params - k :])
        kept = residual[indices]
        scale = np.abs(kept).max() / np.float32(127)
        levels = np.rint(kept / scale).astype(np.int8)
        residual[indices] = kept - levels * scale
        return indices.astype(np.uint32), levels, scale

    indices, levels, scale = benchmark.pedantic(  # type: ignore[no-untyped-call] # untyped library
        encode, setup=lambda: residual.fill(0), rounds=30, warmup_rounds=2
    )
    np.testing.assert_allclose(levels * scale, delta[indices], atol=scale / 2 * 1.001)
    assert np.abs(delta[indices]).min() >= np.abs(np.delete(delta, indices)).max()


@pytest.mark.parametrize("n_params", SIZES)
def bench_numpy_accumulate(benchmark: BenchmarkFixture, n_params: int) -> None:
    """Weighted add of 1 % of the values, already decoded."""
    updates = [codecs.decode(_encode("topk:0.01/int8", _delta(n_params, s))) for s in range(16)]
    total = np.zeros(n_params, np.float32)
    turns = itertools.cycle(updates)

    def add() -> None:
        update = next(turns)
        assert isinstance(update, codecs.Sparse)
        total[update.indices] += np.float32(WEIGHT) * update.values

    benchmark(add)
    assert np.count_nonzero(total) >= math.ceil(0.01 * n_params)


@pytest.mark.parametrize("n_params", SIZES)
@pytest.mark.parametrize("fraction", [0.01, 0.001])
def bench_torch_encode(benchmark: BenchmarkFixture, fraction: float, n_params: int) -> None:
    """Accumulate, topk, int8 with one scale, residual; no packing."""
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    delta, k = torch.from_numpy(_delta(n_params)), math.ceil(fraction * n_params)
    residual = torch.zeros_like(delta)

    def clear() -> None:
        residual.zero_()

    def encode() -> tuple[Any, Any, Any]:
        residual.add_(delta)
        indices = torch.topk(residual.abs(), k, sorted=False).indices.sort().values
        kept = residual[indices]
        scale = kept.abs().max() / 127
        levels = torch.round(kept / scale).to(torch.int8)
        residual[indices] = kept - levels * scale
        return indices.to(torch.int32), levels, scale

    indices, levels, scale = benchmark.pedantic(  # type: ignore[no-untyped-call] # untyped library
        encode, setup=clear, rounds=30, warmup_rounds=2
    )
    error = (levels * scale - delta[indices.long()]).abs().max()
    assert error <= scale / 2 * 1.001


@pytest.mark.parametrize("n_params", SIZES)
def bench_bitsandbytes_quantise(benchmark: BenchmarkFixture, n_params: int) -> None:
    """Its blockwise 8 bits on a CPU, rounded to the nearest level."""
    torch = pytest.importorskip("torch")
    functional = pytest.importorskip("bitsandbytes.functional")
    torch.set_num_threads(1)
    delta = torch.from_numpy(_delta(n_params))
    levels, state = benchmark(functional.quantize_blockwise, delta, blocksize=256)
    decoded = functional.dequantize_blockwise(levels, state)
    assert float((decoded - delta).abs().max()) < 0.02 * float(delta.abs().max())


@pytest.mark.parametrize("n_params", SIZES)
def bench_pcodec_pack(benchmark: BenchmarkFixture, n_params: int) -> None:
    """Gaps and levels of what bench_pack packs, level 8."""
    pcodec = pytest.importorskip("pcodec")
    indices, levels, _ = _kept(n_params)
    gaps, config = np.diff(indices, prepend=0), pcodec.ChunkConfig(compression_level=8)

    def pack() -> tuple[bytes, bytes]:
        standalone = pcodec.standalone
        return (
            standalone.simple_compress(gaps, config),
            standalone.simple_compress(levels.astype(np.int16), config),
        )

    packed = benchmark(pack)
    benchmark.extra_info |= {"bytes": sum(map(len, packed)), "kept": indices.size}
    np.testing.assert_array_equal(pcodec.standalone.simple_decompress(packed[0]), gaps)


@pytest.mark.parametrize("n_params", SIZES)
def bench_zstandard_pack(benchmark: BenchmarkFixture, n_params: int) -> None:
    """Gaps of two bytes and levels of what bench_pack packs, level 3."""
    zstandard = pytest.importorskip("zstandard")
    indices, levels, _ = _kept(n_params)
    raw = np.diff(indices, prepend=0).astype("<u2").tobytes() + levels.tobytes()
    packed = benchmark(zstandard.ZstdCompressor(level=3).compress, raw)
    benchmark.extra_info |= {"bytes": len(packed), "kept": indices.size}
    assert zstandard.ZstdDecompressor().decompress(packed) == raw
