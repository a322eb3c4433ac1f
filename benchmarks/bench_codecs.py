"""Encode and accumulate per spec and size, beside what they are measured against.

Run: pytest benchmarks/bench_codecs.py --benchmark-group-by=param:n_params
Compare medians within one run: memcpy of the delta is the floor, NumPy the peer. The NumPy
pipeline does less: it neither packs nor entropy-codes what it selects.
"""

import itertools
import math

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from fedge import codecs
from fedge.types import Array, Vector

SIZES = [10_000, 1_000_000]
SPECS = ["topk:0.01/sign", "topk:0.01/int8", "topk:0.001/int8", "topk:0.01/float32", "int8", "none"]
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
    """Decode and weighted add of 16 updates in turn: one alone would stay in the cache."""
    payloads = [_encode(spec, _delta(n_params, seed)) for seed in range(16)]
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
    """Weighted add of 1 % of the values that were decoded before."""
    updates = [codecs.decode(_encode("topk:0.01/int8", _delta(n_params, s))) for s in range(16)]
    total = np.zeros(n_params, np.float32)
    turns = itertools.cycle(updates)

    def add() -> None:
        update = next(turns)
        assert isinstance(update, codecs.Sparse)
        total[update.indices] += np.float32(WEIGHT) * update.values

    benchmark(add)
    assert np.count_nonzero(total) >= math.ceil(0.01 * n_params)
