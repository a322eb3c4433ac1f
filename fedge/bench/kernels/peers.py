"""What others do with the same task, as their own documents tell one to do it."""

import math
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

from fedge.types import Array, Vector

OPTIONAL = ("torch", "bitsandbytes", "pcodec", "zstandard")


def installed(*, wanted: bool) -> tuple[dict[str, Any], list[str]]:
    """The optional peers' modules, and the names of those that are not installed."""
    if not wanted:
        return {}, []
    missing = [name for name in OPTIONAL if find_spec(name) is None]
    if "torch" in missing and "bitsandbytes" not in missing:
        missing.append("bitsandbytes (without torch)")
    names = [name for name in OPTIONAL if not any(name in absent for absent in missing)]
    found = {name: import_module(name) for name in names}
    if "torch" in found:
        found["torch"].set_num_threads(1)
    return found, missing


def numpy_topk(delta: Vector, residual: Vector, k: int) -> tuple[Array, Array, Any]:
    """Accumulate, argpartition, int8 with one scale, residual; nothing is packed."""
    np.add(residual, delta, out=residual)
    indices = np.sort(np.argpartition(np.abs(residual), delta.size - k)[delta.size - k :])
    kept = residual[indices]
    scale = np.abs(kept).max() / np.float32(127)
    levels = np.rint(kept / scale).astype(np.int8)
    residual[indices] = kept - levels * scale
    return indices.astype(np.uint32), levels, scale


def torch_topk(torch: Any, delta: Vector, residual: Vector, k: int) -> tuple[Any, Any, Any]:
    """The same in torch, on the same memory."""
    total = torch.from_numpy(residual)
    total.add_(torch.from_numpy(delta))
    indices = total.abs().topk(k, sorted=False).indices.sort().values
    kept = total[indices]
    scale = kept.abs().max() / 127
    levels = torch.round(kept / scale).to(torch.int8)
    total[indices] = kept - levels * scale
    return indices.to(torch.int32), levels, scale


def numpy_stochastic(values: Vector, rng: np.random.Generator) -> tuple[Array, Array]:
    """Stochastic rounding to int8 with a scale for each 256 values."""
    padded = np.zeros(-(-values.size // 256) * 256, np.float32)
    padded[: values.size] = values
    blocks = padded.reshape(-1, 256)
    scales = np.abs(blocks).max(axis=1, keepdims=True) / np.float32(127)
    uniforms = rng.random(blocks.shape, dtype=np.float32)
    levels = np.floor(blocks / np.maximum(scales, np.float32(1e-30)) + uniforms).astype(np.int8)
    return levels.ravel()[: values.size], scales


def torch_stochastic(torch: Any, values: Vector) -> Callable[[], object]:
    """The same in torch; the values must fill their last block."""
    blocks = torch.from_numpy(values[: values.size // 256 * 256]).reshape(-1, 256)

    def quantise() -> object:
        scales = blocks.abs().amax(dim=1, keepdim=True) / 127
        return torch.floor(blocks / scales + torch.rand_like(blocks)).to(torch.int8), scales

    return quantise


def bitsandbytes_blockwise(bnb: Any, torch: Any, values: Vector) -> Callable[[], object]:
    """Nearest rounding to its own 8-bit table, by blocks of 256, on the CPU."""
    given = torch.from_numpy(values)
    return lambda: bnb.functional.quantize_blockwise(given, blocksize=256)


def sizes(modules: dict[str, Any], indices: Array, levels: Array, scales: Array) -> dict[str, int]:
    """Bytes of the same kept values when others pack gaps and levels; scales as they are."""
    gaps = np.diff(indices.astype(np.int64), prepend=-1).astype(np.uint32) - np.uint32(1)
    found = {"raw": 4 * indices.size + levels.nbytes + scales.nbytes}
    if "pcodec" in modules:
        pcodec = modules["pcodec"]
        config = pcodec.ChunkConfig(compression_level=8)
        pack = pcodec.standalone.simple_compress
        packed = len(pack(gaps, config)) + len(pack(levels.astype(np.int16), config))
        found["pcodec"] = packed + scales.nbytes
    if "zstandard" in modules:
        plain = _varints(gaps) + levels.tobytes()
        packed = len(modules["zstandard"].ZstdCompressor(level=19).compress(plain))
        found["zstandard"] = packed + scales.nbytes
    return found


def _varints(numbers: Array) -> bytes:
    out = bytearray()
    for number in numbers.tolist():
        rest = number
        while rest > 127:
            out.append(rest & 127 | 128)
            rest >>= 7
        out.append(rest)
    return bytes(out)


def bound_bytes(n_params: int, levels: Array) -> float:
    """log2 C(d, k) + k H(q) in bytes: positions drawn evenly, levels by their own frequencies."""
    k = levels.size
    ways = math.lgamma(n_params + 1) - math.lgamma(k + 1) - math.lgamma(n_params - k + 1)
    shares = np.unique(levels, return_counts=True)[1] / k
    return float(ways / math.log(2) - k * (shares * np.log2(shares)).sum()) / 8
