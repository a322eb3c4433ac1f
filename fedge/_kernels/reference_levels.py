"""NumPy twins of the kernels for levels: of kept values and of all."""

from typing import Any

import numpy as np
import numpy.typing as npt

from fedge.types import Vector

I8 = npt.NDArray[np.int8]
U8 = npt.NDArray[np.uint8]
U16 = npt.NDArray[np.uint16]
U32 = npt.NDArray[np.uint32]

BLOCK = 256  # values that share a scale
SMALLEST_SCALE = 0x0080  # 2**-126: its inverse is finite, nothing is subnormal
LARGEST_SCALE = 0x7BFF  # the largest bf16 whose 128-fold is a finite float32
LARGEST_LEVEL = {1: 1, 4: 7, 8: 127}  # by bits


def scale_above(value: np.floating[Any]) -> np.uint16:
    """The smallest bf16 not below value, as bits, within the range that a payload may carry."""
    bits = (int(np.float32(value).view(np.uint32)) + 0xFFFF) >> 16
    return np.uint16(min(max(bits, SMALLEST_SCALE), LARGEST_SCALE))


def scale_value(scale: int | np.uint16) -> np.float32:
    return np.uint32(int(scale) << 16).view(np.float32)


def is_scale(scale: int) -> bool:
    return SMALLEST_SCALE <= scale <= LARGEST_SCALE


def quantise_kept(
    residual: Vector, indices: U32, bits: int, seed: int | None, levels: I8, scales: U16
) -> None:
    """levels[i] * scale approximates residual[indices[i]], which becomes what is left over."""
    k = len(indices)
    if len(levels) != k or len(scales) != (k + BLOCK - 1) // BLOCK:
        raise ValueError("levels must have one entry for each index, scales for each 256")
    if bits not in LARGEST_LEVEL:
        raise ValueError("bits must be 1, 4 or 8")
    if k > 0 and indices.max() >= len(residual):
        raise ValueError("indices must be below the length of residual")
    for b, start in enumerate(range(0, k, BLOCK)):
        part = indices[start : start + BLOCK]
        kept, largest = residual[part], LARGEST_LEVEL[bits]
        if bits == 1:
            mean = np.cumsum(np.abs(kept), dtype=np.float64)[-1] / kept.size
            scales[b] = scale_above(np.float32(mean))
            level = np.where(kept < 0, -1, 1).astype(np.int8)
        else:
            scales[b] = scale_above(np.abs(kept).max() / np.float32(largest))
            level = _levels_of(kept, scales[b], largest, seed, start // 2)
        residual[part] = kept - level.astype(np.float32) * scale_value(scales[b])
        levels[start : start + BLOCK] = level


def _levels_of(
    values: Vector, scale: np.uint16, largest: int, seed: int | None, counter: int
) -> I8:
    if seed is not None:
        return _by_dice(values, scale, largest, seed, counter)
    nearest = np.rint(values * (1 / scale_value(scale)))
    level: I8 = np.clip(nearest, -largest, largest).astype(np.int8)
    return level


def _by_dice(values: Vector, scale: np.uint16, largest: int, seed: int, counter: int) -> I8:
    """Value j and j + 128 share the hash of (counter + j) ^ seed, 16 bits each."""
    hashes = _hash(np.arange(counter, counter + 128, dtype=np.uint32) ^ np.uint32(seed))
    dice = np.concatenate([hashes & 0xFFFF, hashes >> 16])[: values.size].astype(np.int32)
    fixed = (values * (1 / scale_value(scale)) * np.float32(65536)).astype(np.int32)
    level: I8 = np.clip((fixed + dice) >> 16, -largest, largest).astype(np.int8)
    return level


def _hash(x: U32) -> U32:
    x = (x ^ (x >> np.uint32(16))) * np.uint32(0x7FEB352D)
    x = (x ^ (x >> np.uint32(15))) * np.uint32(0x846CA68B)
    return x ^ (x >> np.uint32(16))


def quantise_dense(values: Vector, seed: int, out: U8) -> bool:
    """Stochastic rounding to levels -127..127 of a scale for each 256 values.

    Returns:
        False, with out unfinished, if a value is not finite.
    """
    n = len(values)
    if len(out) != n + 2 * ((n + BLOCK - 1) // BLOCK):
        raise ValueError("out must have a byte for each value and two for each 256")
    for b, start in enumerate(range(0, n, BLOCK)):
        block = values[start : start + BLOCK]
        if not np.isfinite(block).all():
            return False
        scale = scale_above(np.abs(block).max() / np.float32(127))
        levels = _by_dice(block, scale, 127, seed, 128 * b)
        body = scale.tobytes() + levels.tobytes()
        out[b * 258 : b * 258 + len(body)] = np.frombuffer(body, np.uint8)
    return True


@np.errstate(over="ignore")
def accumulate_dense(body: bytes | memoryview, bits: int, weight: float, out: Vector) -> bool:
    """out += weight * value for every value of a dense body.

    Returns:
        False, with out untouched, if body has another length or holds what no encoder writes.
    """
    if bits not in {8, 32}:
        raise ValueError("bits must be 8 or 32")
    values = _floats(bytes(body)) if bits == 32 else _levels(bytes(body))
    if values is None or values.size != len(out):
        return False
    out += np.float32(weight) * values
    return True


def _floats(body: bytes) -> Vector | None:
    values = np.frombuffer(body[: len(body) // 4 * 4], "<f4")
    return values if np.isfinite(values).all() and values.nbytes == len(body) else None


def _levels(body: bytes) -> Vector | None:
    values = [np.empty(0, np.float32)]
    for start in range(0, len(body), BLOCK + 2):
        block = body[start : start + BLOCK + 2]
        scale = int.from_bytes(block[:2], "little")
        if len(block) < 3 or not is_scale(scale):
            return None
        levels = np.frombuffer(block[2:], np.int8)
        values.append(levels.astype(np.float32) * scale_value(scale))
    return np.concatenate(values)
