"""NumPy twins of the kernels that read sparse bodies."""

import numpy as np
import numpy.typing as npt

from fedge._kernels.reference.bits import (
    BLOCK,
    LARGEST_LEVEL,
    MAX_PARAMS,
    is_scale,
    scale_value,
)
from fedge.types import Vector

I64 = npt.NDArray[np.int64]
U32 = npt.NDArray[np.uint32]


def unpack(
    body: bytes | memoryview, bits: int, n_params: int, indices: U32, values: Vector
) -> bool:
    """The body of a sparse payload to indices and values, as many as there is room for.

    Returns:
        False, with indices and values unfinished, if body is not such a body of this length.
    """
    _check_bits(bits)
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
    _check_bits(bits)
    if n_kept < 0:
        raise ValueError("n_kept must not be negative")
    kept = _read_body(bytes(body), bits, n_kept, min(len(out), MAX_PARAMS))
    if kept is None:
        return False
    indices, values = kept
    out[indices] += np.float32(weight) * values
    return True


def fill_range_stream(
    body: bytes | memoryview, bits: int, n_kept: int, n_params: int, start: int, out: Vector
) -> bool:
    """out[index - start] = value for every kept value of a sparse body with a place in out.

    Stops after the block that reaches the end of the range, unless all parameters end there.

    Returns:
        False, with out unfinished, if what was read is not of such a body.
    """
    _check_bits(bits)
    if n_kept < 0:
        raise ValueError("n_kept must not be negative")
    if start < 0 or start + len(out) > n_params:
        raise ValueError("the range must be within the parameters")
    source, next_index, stop = _Bytes(bytes(body)), 0, start + len(out)
    n_params = min(n_params, MAX_PARAMS)
    for m in _block_sizes(n_kept):
        if next_index >= stop and stop < n_params:
            return True
        try:
            gaps, values = _read_block(source, bits, m)
        except _MalformedError:
            return False
        indices = next_index + np.cumsum(gaps + 1) - 1
        next_index = int(indices[-1]) + 1
        if next_index > n_params:
            return False
        is_inside = (indices >= start) & (indices < stop)
        out[indices[is_inside] - start] = values[is_inside]
    return not source.left


def _check_bits(bits: int) -> None:
    if bits not in {1, 4, 8, 32}:
        raise ValueError("bits must be 1, 4, 8 or 32")


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
    if gap_rice > 28 or value_rice > (bits - 2 if bits in {4, 8} else 0):
        raise _MalformedError
    smallest = source.take(1)[0] if bits in {4, 8} else 1
    gaps = source.take_rice(m, gap_rice)
    if bits == 32:
        values = np.frombuffer(source.take(4 * m), "<f4")
        if not np.isfinite(values).all():
            raise _MalformedError
        return gaps, values
    signs = 1 - 2 * source.take_bits(m).astype(np.float32)
    levels = np.full(m, smallest, np.int64)
    if bits in {4, 8}:
        levels += source.take_rice(m, value_rice)
    if levels.max() > LARGEST_LEVEL[bits]:
        raise _MalformedError
    return gaps, signs * (levels.astype(np.float32) * scale)


def _read_scale(source: _Bytes) -> np.float32:
    scale = int.from_bytes(source.take(2), "little")
    if not is_scale(scale):
        raise _MalformedError
    return scale_value(scale)
