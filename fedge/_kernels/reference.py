"""NumPy twins of the kernels: the readable definition of what each must compute."""

from typing import Any

import numpy as np
import numpy.typing as npt

from fedge._kernels.reference_context import pack_context as pack_context  # noqa: PLC0414 - exported
from fedge._kernels.reference_context import unpack_context as unpack_context  # noqa: PLC0414 - exported
from fedge._kernels.reference_eden import accumulate_rotated as accumulate_rotated  # noqa: PLC0414 - exported
from fedge._kernels.reference_eden import draw_mask as draw_mask  # noqa: PLC0414 - exported
from fedge._kernels.reference_eden import fwht as fwht  # noqa: PLC0414 - exported
from fedge._kernels.reference_eden import quantise_rotated as quantise_rotated  # noqa: PLC0414 - exported
from fedge.types import Vector

I8 = npt.NDArray[np.int8]
I64 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]
U16 = npt.NDArray[np.uint16]
U32 = npt.NDArray[np.uint32]

BLOCK = 256  # kept values that share a scale and Rice parameters
MAX_PARAMS = 2**29
SMALLEST_SCALE = 0x0080  # 2**-126: its inverse is finite, nothing is subnormal
LARGEST_SCALE = 0x7BFF  # the largest bf16 whose 128-fold is a finite float32


def sgd_step(  # noqa: PLR0913, PLR0917 - the formula has eight terms
    parameters: Vector,
    gradient: Vector,
    momentum_buffer: Vector,
    anchor: Vector,
    lr: float,
    momentum: float,
    weight_decay: float,
    proximal: float,
) -> None:
    """g = gradient + weight_decay * p + proximal * (p - anchor); m = momentum * m + g; p -= lr * m.

    Updates parameters p and momentum_buffer m in place. Without momentum g takes the place of m
    and momentum_buffer may be empty; without a proximal term anchor may be empty.
    """
    n = len(parameters)
    if len(gradient) != n:
        raise ValueError("parameters and gradient must have the same length")
    if len(momentum_buffer) != n and (momentum != 0 or len(momentum_buffer) != 0):
        raise ValueError("momentum_buffer must have the length of parameters")
    if len(anchor) != n and (proximal != 0 or len(anchor) != 0):
        raise ValueError("anchor must have the length of parameters")
    step = gradient + np.float32(weight_decay) * parameters
    if np.float32(proximal) != 0:
        step = step + np.float32(proximal) * (parameters - anchor)
    if np.float32(momentum) != 0:
        step = np.float32(momentum) * momentum_buffer + step
        momentum_buffer[:] = step
    parameters -= np.float32(lr) * step


def _scale_above(value: np.floating[Any]) -> np.uint16:
    """The smallest bf16 not below value, as bits, within the range that a payload may carry."""
    bits = (int(np.float32(value).view(np.uint32)) + 0xFFFF) >> 16
    return np.uint16(min(max(bits, SMALLEST_SCALE), LARGEST_SCALE))


def _scale_value(scale: int | np.uint16) -> np.float32:
    return np.uint32(int(scale) << 16).view(np.float32)


@np.errstate(over="ignore", invalid="ignore")
def accumulate_blockmax(residual: Vector, delta: Vector, maxima: U32) -> int:
    """residual += delta; maxima[t] = bits of the largest |sum| in the t-th tile of 32.

    Returns:
        How many values were added: all, or those before the first tile with a sum that is not
        finite.
    """
    n = len(residual)
    if len(delta) != n or len(maxima) != (n + 31) // 32:
        raise ValueError("delta must have the length of residual, maxima one entry for each 32")
    for t, start in enumerate(range(0, n, 32)):
        sums = residual[start : start + 32] + delta[start : start + 32]
        if not np.isfinite(sums).all():
            return start
        residual[start : start + 32] = sums
        maxima[t] = np.abs(sums).max().view(np.uint32)
    return n


def select_topk(values: Vector, maxima: U32, k: int, work: U32, indices: U32) -> int:
    """Increasing indices of the k largest magnitudes; ties to the lowest index, zeros left out.

    Returns:
        How many indices were written: k, or fewer if fewer values are not zero.
    """
    n = len(values)
    if len(maxima) != (n + 31) // 32 or len(work) < 2 * n:
        raise ValueError("maxima must have one entry for each 32 values, work two for each")
    if k < 0 or len(indices) < k:
        raise ValueError("indices must have room for k")
    return _write_largest(values, k, indices)


def _write_largest(values: Vector, k: int, indices: U32) -> int:
    largest = np.argsort(-np.abs(values), kind="stable")[:k]
    selected = np.sort(largest[values[largest] != 0])
    indices[: selected.size] = selected
    return selected.size


@np.errstate(over="ignore", invalid="ignore")
def accumulate_topk(residual: Vector, delta: Vector, k: int, work: U32, indices: U32) -> int:
    """residual += delta; indices[:n] = the increasing indices of its k largest magnitudes.

    Returns:
        How many indices were written: k, or fewer if fewer sums are not zero. -1, with residual
        as it was up to rounding, if a sum is not finite.
    """
    if len(delta) != len(residual):
        raise ValueError("delta must have the length of residual")
    if k < 0 or len(indices) < k or len(work) // 3 < k + 2048:
        raise ValueError("indices must have room for k, work three times for k + 2048")
    sums = residual + delta
    if not np.isfinite(sums).all():
        return -1
    residual[:] = sums
    return _write_largest(residual, k, indices)


def quantise_kept(residual: Vector, indices: U32, bits: int, levels: I8, scales: U16) -> None:
    """levels[i] * scale approximates residual[indices[i]], which becomes what is left over."""
    k = len(indices)
    if len(levels) != k or len(scales) != (k + BLOCK - 1) // BLOCK:
        raise ValueError("levels must have one entry for each index, scales for each 256")
    if bits not in {1, 8}:
        raise ValueError("bits must be 1 or 8")
    if k > 0 and indices.max() >= len(residual):
        raise ValueError("indices must be below the length of residual")
    for b, start in enumerate(range(0, k, BLOCK)):
        part = indices[start : start + BLOCK]
        kept = residual[part]
        if bits == 1:
            mean = np.cumsum(np.abs(kept), dtype=np.float64)[-1] / kept.size
            scales[b] = _scale_above(np.float32(mean))
            level = np.where(kept < 0, -1, 1).astype(np.int8)
        else:
            scales[b] = _scale_above(np.abs(kept).max() / np.float32(127))
            nearest = np.rint(kept * (1 / _scale_value(scales[b])))
            level = np.clip(nearest, -127, 127).astype(np.int8)
        residual[part] = kept - level.astype(np.float32) * _scale_value(scales[b])
        levels[start : start + BLOCK] = level


def quantise_levels(residual: Vector, indices: U32, largest: int, levels: I8, scales: U16) -> None:
    """Nearest levels -largest..largest; residual[indices[i]] becomes what is left over."""
    k = len(indices)
    if len(levels) != k or len(scales) != (k + BLOCK - 1) // BLOCK:
        raise ValueError("levels must have one entry for each index, scales for each 256")
    if not 1 <= largest <= 127:
        raise ValueError("largest must be 1 to 127")
    if k > 0 and indices.max() >= len(residual):
        raise ValueError("indices must be below the length of residual")
    for b, start in enumerate(range(0, k, BLOCK)):
        part = indices[start : start + BLOCK]
        kept = residual[part]
        scales[b] = _scale_above(np.abs(kept).max() / np.float32(largest))
        nearest = np.rint(kept * (1 / _scale_value(scales[b])))
        level = np.clip(nearest, -largest, largest).astype(np.int8)
        residual[part] = kept - level.astype(np.float32) * _scale_value(scales[b])
        levels[start : start + BLOCK] = level


def pack(indices: U32, codes: U8, scales: U16, bits: int, out: U8) -> int:
    """Kept values to the body of a sparse payload; returns its length at the start of out."""
    k, n_blocks = len(indices), (len(indices) + BLOCK - 1) // BLOCK
    _check_bits(bits, {1, 8, 32})
    if len(codes) != (4 * k if bits == 32 else k):
        raise ValueError("codes must have one value for each index")
    if bits != 32 and len(scales) != n_blocks:
        raise ValueError("scales must have one entry for each 256 indices")
    if len(out) < 8 * k + 16 * n_blocks:
        raise ValueError("out must have 8 bytes for each index and 16 for each 256")
    gaps = indices.astype(np.int64)
    gaps[1:] -= gaps[:-1] + 1
    if k > 0 and (gaps.min() < 0 or indices[-1] >= MAX_PARAMS):
        raise ValueError("indices must increase strictly and be below 2**29")
    values = codes.reshape(k, 4 if bits == 32 else 1)
    body = b"".join(
        _block(gaps[s : s + BLOCK], values[s : s + BLOCK], scales[b : b + 1].tobytes(), bits)
        for b, s in enumerate(range(0, k, BLOCK))
    )
    out[: len(body)] = np.frombuffer(body, np.uint8)
    return len(body)


def _block(gaps: I64, values: U8, scale: bytes, bits: int) -> bytes:
    """One block of at most 256 kept values, as the layout in fedge/codecs/payload.py has it."""
    gap_rice = _best_rice(gaps)
    gap_codes = _rice_codes(gaps, gap_rice)
    if bits == 32:
        return bytes([gap_rice]) + gap_codes + values.tobytes()
    levels = values.view(np.int8)[:, 0].astype(np.int64)
    signs = _bit_bytes(levels < 0)
    if bits == 1:
        return scale + bytes([gap_rice]) + gap_codes + signs
    smallest = np.abs(levels).min()
    above = np.abs(levels) - smallest
    rice = _best_rice(above)
    head = scale + bytes([gap_rice | rice << 5, smallest])
    return head + gap_codes + signs + _rice_codes(above, rice)


def _best_rice(numbers: I64) -> int:
    """The smallest parameter with the shortest code."""
    return min(range(30), key=lambda rice: int(np.sum((numbers >> rice) + rice + 1)))


def _rice_codes(numbers: I64, rice: int) -> bytes:
    """The low bits of all numbers, then their rests in unary, as distances between set bits."""
    ends = np.cumsum((numbers >> rice) + 1) - 1
    unary = np.zeros(ends[-1] + 1, np.bool_)
    unary[ends] = True
    return _bit_bytes(numbers[:, None] >> np.arange(rice) & 1) + _bit_bytes(unary)


def _bit_bytes(bits: npt.NDArray[np.generic]) -> bytes:
    return np.packbits(bits.astype(np.bool_), bitorder="little").tobytes()


def unpack(
    body: bytes | memoryview, bits: int, n_params: int, indices: U32, values: Vector
) -> bool:
    """The body of a sparse payload to indices and values, as many as there is room for.

    Returns:
        False, with indices and values unfinished, if body is not such a body of this length.
    """
    _check_bits(bits, {1, 8, 32})
    if len(values) != len(indices):
        raise ValueError("indices and values must have the same length")
    kept = _read_body(bytes(body), bits, len(indices), min(n_params, MAX_PARAMS))
    if kept is None:
        return False
    indices[:], values[:] = kept
    return True


@np.errstate(over="ignore")
def scatter_add_stream(
    body: bytes | memoryview, bits: int, n_kept: int, weight: float, out: Vector
) -> bool:
    """out[index] += weight * value for every kept value of a sparse body.

    Returns:
        False, with out untouched, if body is not such a body of this length.
    """
    _check_bits(bits, {1, 8, 32})
    if n_kept < 0:
        raise ValueError("n_kept must not be negative")
    kept = _read_body(bytes(body), bits, n_kept, min(len(out), MAX_PARAMS))
    if kept is None:
        return False
    indices, values = kept
    out[indices] += np.float32(weight) * values
    return True


def _check_bits(bits: int, known: set[int]) -> None:
    if bits not in known:
        raise ValueError(f"bits must be one of {sorted(known)}")


class _MalformedError(Exception):
    """No encoder writes these bytes."""


class _Bytes:
    """Bytes read from front to back, and not beyond their end."""

    def __init__(self, body: bytes) -> None:
        self.left = body

    def take(self, n: int) -> bytes:
        if n > len(self.left):
            raise _MalformedError
        taken, self.left = self.left[:n], self.left[n:]
        return taken

    def take_bits(self, n: int) -> npt.NDArray[np.uint8]:
        taken = np.frombuffer(self.take((n + 7) // 8), np.uint8)
        return np.unpackbits(taken, count=n, bitorder="little")

    def take_rice(self, m: int, rice: int) -> I64:
        low = self.take_bits(m * rice).reshape(m, rice).astype(np.int64) << np.arange(rice)
        ahead = np.frombuffer(self.left[: (3 * m + 7) // 8], np.uint8)
        ends = np.flatnonzero(np.unpackbits(ahead, bitorder="little")[: 3 * m])[:m]
        if ends.size < m:
            raise _MalformedError
        self.take(int(ends[-1]) // 8 + 1)
        unary: I64 = np.diff(ends, prepend=-1) - 1
        numbers: I64 = (unary << rice) + low.sum(axis=1)
        return numbers


def _read_body(body: bytes, bits: int, n_kept: int, n_params: int) -> tuple[I64, Vector] | None:
    source = _Bytes(body)
    try:
        blocks = [_read_block(source, bits, m) for m in _block_sizes(n_kept)]
    except _MalformedError:
        return None
    gaps = np.concatenate([np.empty(0, np.int64), *(gaps for gaps, _ in blocks)])
    values = np.concatenate([np.empty(0, np.float32), *(values for _, values in blocks)])
    indices = np.cumsum(gaps + 1) - 1
    is_valid = gaps.max(initial=0) < MAX_PARAMS and indices.max(initial=-1) < n_params
    return (indices, values) if is_valid and not source.left else None


def _block_sizes(n: int) -> list[int]:
    return [min(n - start, BLOCK) for start in range(0, n, BLOCK)]


def _read_block(source: _Bytes, bits: int, m: int) -> tuple[I64, Vector]:
    scale = np.float32(0) if bits == 32 else _read_scale(source)
    rices = source.take(1)[0]
    gap_rice, value_rice = rices & 31, rices >> 5
    if gap_rice > 28 or value_rice > (6 if bits == 8 else 0):
        raise _MalformedError
    smallest = source.take(1)[0] if bits == 8 else 1
    gaps = source.take_rice(m, gap_rice)
    if bits == 32:
        values = np.frombuffer(source.take(4 * m), "<f4")
        if not np.isfinite(values).all():
            raise _MalformedError
        return gaps, values
    signs = 1 - 2 * source.take_bits(m).astype(np.float32)
    levels = smallest + (source.take_rice(m, value_rice) if bits == 8 else np.zeros(m, np.int64))
    if levels.max() > 127:
        raise _MalformedError
    return gaps, signs * (levels.astype(np.float32) * scale)


def _read_scale(source: _Bytes) -> np.float32:
    scale = int.from_bytes(source.take(2), "little")
    if not SMALLEST_SCALE <= scale <= LARGEST_SCALE:
        raise _MalformedError
    return _scale_value(scale)


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
        scale = _scale_above(np.abs(block).max() / np.float32(127))
        hashes = _hash(np.arange(128 * b, 128 * b + 128, dtype=np.uint32) ^ np.uint32(seed))
        dice = np.concatenate([hashes & 0xFFFF, hashes >> 16])[: block.size].astype(np.int32)
        fixed = (block * (1 / _scale_value(scale)) * np.float32(65536)).astype(np.int32)
        levels = np.clip((fixed + dice) >> 16, -127, 127).astype(np.int8)
        body = scale.tobytes() + levels.tobytes()
        out[b * 258 : b * 258 + len(body)] = np.frombuffer(body, np.uint8)
    return True


def _hash(x: U32) -> U32:
    x = (x ^ (x >> np.uint32(16))) * np.uint32(0x7FEB352D)
    x = (x ^ (x >> np.uint32(15))) * np.uint32(0x846CA68B)
    return x ^ (x >> np.uint32(16))


@np.errstate(over="ignore")
def accumulate_dense(body: bytes | memoryview, bits: int, weight: float, out: Vector) -> bool:
    """out += weight * value for every value of a dense body.

    Returns:
        False, with out untouched, if body has another length or holds what no encoder writes.
    """
    _check_bits(bits, {8, 32})
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
    source = _Bytes(body)
    try:
        while source.left:
            scale = _read_scale(source)
            levels = np.frombuffer(source.take(max(1, min(len(source.left), BLOCK))), np.int8)
            values.append(levels.astype(np.float32) * scale)
    except _MalformedError:
        return None
    return np.concatenate(values)


@np.errstate(over="ignore", invalid="ignore")
def robust_tile(rows: Vector, low: int, high: int, out: Vector) -> None:
    """out[j] = mean of the values of column j with ranks low to high - 1, the smallest first.

    NaN ranks above infinity, -0 below +0. The sum runs in float32 from the lowest rank to the
    highest, one rounding an addition, so every machine gets the same bits.
    """
    n, d = rows.shape
    if len(out) != d or (d > 1 and rows.strides[1] != rows.itemsize):
        raise ValueError("rows must be of adjacent values, out must have one for each column")
    if not 0 <= low < high <= n <= 2**16:
        raise ValueError("ranks must be 0 <= low < high <= n, with at most 65536 rows")
    bits = rows.view(np.int32)
    keys = np.where(np.isnan(rows), np.int32(0x7FFFFFFF), _flip(bits))
    kept = _flip(np.sort(keys, axis=0)[low:high]).view(np.float32)
    total = kept[0]
    for values in kept[1:]:
        total = total + values
    mean = total / np.float32(high - low)
    out[:] = np.where(np.isnan(mean), np.float32(np.nan), mean)


def _flip(bits: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """Bits of floats to integers of the same order, and back."""
    return bits ^ ((bits >> 31) & np.int32(0x7FFFFFFF))
