"""Python twins of the kernels for the context coder."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from fedge._kernels.reference.bits import (
    BLOCK,
    LARGEST_LEVEL,
    LARGEST_SCALE,
    MAX_PARAMS,
    SMALLEST_SCALE,
)
from fedge._kernels.reference.range_coder import MalformedError, Probability, Reader, Writer
from fedge.types import Vector

I8 = npt.NDArray[np.int8]
U8 = npt.NDArray[np.uint8]
U16 = npt.NDArray[np.uint16]
U32 = npt.NDArray[np.uint32]

# How often a gap of random places is 12 bits shorter to 19 bits longer than their mean, of 900.
PRIOR = [1, 1, 1, 2, 2, 4, 8, 16, 32, 64, 120, 200, 260, 220, 110, 40, 15, 8, 4, 2, *[1] * 12]

_Coder = Writer | Reader


class _Lengths:
    """Numbers by the length of number + 1 in bits, less one, and what follows its highest bit."""

    def __init__(self, n_levels: int, middle: int) -> None:
        self.n_levels, self.middle, self.recent = n_levels, middle, 4 * middle
        self.trees = [[Probability() for _ in range(32)] for _ in range(6)]
        self.next_bits = [[Probability(n_seen=5) for _ in range(3)] for _ in range(32)]

    def code(self, coder: _Coder, number: int) -> int:
        tree = self.trees[min(max((self.recent >> 2) - self.middle + 3, 0), 5)]
        wanted, node = (number + 1).bit_length() - 1, 1
        for level in reversed(range(self.n_levels)):
            node = 2 * node + coder.bit(tree[node], wanted >> level & 1)
        length = node - (1 << self.n_levels)
        if length > 29:
            raise MalformedError
        self.recent += (4 * length - self.recent + (4 * length > self.recent)) >> 1
        return (1 << length) + self._code_rest(coder, number + 1, length) - 1

    def _code_rest(self, coder: _Coder, number: int, length: int) -> int:
        probabilities = self.next_bits[length]
        if length == 0:
            return 0
        rest = coder.bit(probabilities[0], number >> (length - 1) & 1)
        if length == 1:
            return rest
        rest = 2 * rest + coder.bit(probabilities[1 + rest], number >> (length - 2) & 1)
        left = length - 2
        if left > 14:
            rest = rest << (left - 14) | coder.even(number >> 14, left - 14)
            left = 14
        return rest << left | coder.even(number, left) if left else rest


@dataclass(slots=True)
class _Model:
    gaps: _Lengths
    levels: _Lengths = field(default_factory=lambda: _Lengths(3, 4))
    signs: dict[tuple[int, int, bool], Probability] = field(default_factory=dict)
    before: tuple[int, int] = (2, 2)  # the last signs, the newest first
    is_long: bool = False

    def code_gap(self, coder: _Coder, gap: int) -> int:
        gap = self.gaps.code(coder, gap)
        self.is_long = gap >> self.gaps.middle > 1
        return gap

    def code_sign(self, coder: _Coder, sign: int) -> int:
        probability = self.signs.setdefault((*self.before, self.is_long), Probability(n_seen=4))
        sign = coder.bit(probability, sign)
        self.before = (sign, self.before[0])
        return sign


def _model(n_params: int, k: int) -> _Model:
    middle = max((n_params // k).bit_length() - 1, 0)
    gaps = _Lengths(5, middle)
    weights = [0] * 32 + [PRIOR[min(max(length - middle + 12, 0), 31)] for length in range(32)]
    for node in range(31, 0, -1):
        weights[node] = weights[2 * node] + weights[2 * node + 1]
        probability = 65535 * weights[2 * node] // weights[node]
        for tree in gaps.trees:
            tree[node] = Probability(probability, probability, 5)
    return _Model(gaps)


def pack_context(indices: U32, codes: U8, scales: U16, bits: int, n_params: int, out: U8) -> int:
    """Kept values to the body of a sparse payload with the context coder.

    Returns:
        The length of the body at the start of out, or -1 if out is too short for it.
    """
    k = len(indices)
    _check_bits(bits)
    if len(codes) != (4 * k if bits == 32 else k):
        raise ValueError("codes must have one value for each index")
    if bits != 32 and len(scales) != -(-k // BLOCK):
        raise ValueError("scales must have one entry for each 256 indices")
    gaps = np.diff(indices.astype(np.int64), prepend=-1) - 1
    if gaps.min(initial=0) < 0 or n_params > 2**29 or (k and indices[-1] >= n_params):
        raise ValueError("indices must increase strictly and be below n_params, at most 2**29")
    if k == 0:
        return 0
    levels = None if bits == 32 else codes.view(np.int8)
    head = codes.tobytes() if levels is None else scales.tobytes()
    body = head + _stream(gaps.tolist(), levels, bits, n_params)
    if len(body) > len(out) or len(out) == len(head):
        return -1
    out[: len(body)] = np.frombuffer(body, np.uint8)
    return len(body)


def _stream(gaps: list[int], levels: I8 | None, bits: int, n_params: int) -> bytes:
    coder, model = Writer(), _model(n_params, len(gaps))
    for i, gap in enumerate(gaps):
        model.code_gap(coder, gap)
        if levels is None:
            continue
        level = int(levels[i])
        if bits > 1:
            model.levels.code(coder, abs(level))
        if level:
            model.code_sign(coder, int(level < 0))
    return coder.finish()


def unpack_context(
    body: bytes | memoryview, bits: int, n_params: int, indices: U32, values: Vector
) -> bool:
    """The body of a sparse payload with the context coder to indices and values.

    Returns:
        False, with indices and values unfinished, if body is not such a body of this length.
    """
    _check_bits(bits)
    if len(values) != len(indices):
        raise ValueError("indices and values must have the same length")
    kept = _read_body(bytes(body), bits, n_params, len(indices), n_params)
    if kept is None:
        return False
    indices[:], values[:] = kept
    return True


def fill_range_context(
    body: bytes | memoryview, bits: int, n_kept: int, n_params: int, start: int, out: Vector
) -> bool:
    """out[index - start] = value for every kept value of a body with the context coder and a
    place in out.

    Stops at the first value beyond the range, unless all parameters end there.

    Returns:
        False, with out unfinished, if what was read is not of such a body.
    """
    _check_bits(bits)
    if n_kept < 0:
        raise ValueError("n_kept must not be negative")
    stop = start + len(out)
    if start < 0 or stop > n_params:
        raise ValueError("the range must be within the parameters")
    kept = _read_body(bytes(body), bits, n_params, n_kept, stop)
    if kept is None:
        return False
    for index, value in zip(*kept, strict=True):
        if start <= index < stop:
            out[index - start] = value
    return True


def _read_body(
    body: bytes, bits: int, n_params: int, k: int, stop: int
) -> tuple[list[int], Vector] | None:
    """What was kept, up to the first place from stop on unless that is n_params; None if bad."""
    size = 4 * k if bits == 32 else 2 * -(-k // BLOCK)
    head, stream = body[:size], body[size:]
    if k == 0 or len(head) < size:
        return ([], np.empty(0, np.float32)) if k == 0 and not stream else None
    floats = np.frombuffer(head, "<f4") if bits == 32 else _scales(head)
    if floats is None or not np.isfinite(floats).all():
        return None
    try:
        indices, levels = _read(Reader(stream), k, bits, n_params, stop)
    except MalformedError:
        return None
    if bits == 32:
        return indices, floats[: len(indices)]
    magnitudes = np.abs(levels).astype(np.float32) * np.repeat(floats, BLOCK)[: len(indices)]
    return indices, np.where(np.array(levels) < 0, -magnitudes, magnitudes)


def scatter_add_context(
    body: bytes | memoryview, bits: int, n_kept: int, weight: float, out: Vector
) -> bool:
    """out[index] += weight * value for every kept value of a body with the context coder.

    Returns:
        False, with out untouched, if body is not such a body of this length.
    """
    if n_kept < 0:
        raise ValueError("n_kept must not be negative")
    indices, values = np.empty(n_kept, np.uint32), np.empty(n_kept, np.float32)
    if not unpack_context(body, bits, min(len(out), MAX_PARAMS), indices, values):
        return False
    with np.errstate(over="ignore"):
        out[indices] += np.float32(weight) * values
    return True


def _scales(head: bytes) -> Vector | None:
    scales = np.frombuffer(head, "<u2").astype(np.uint32)
    if ((scales < SMALLEST_SCALE) | (scales > LARGEST_SCALE)).any():
        return None
    return (scales << np.uint32(16)).view(np.float32)


def _read(
    coder: Reader, k: int, bits: int, n_params: int, stop: int
) -> tuple[list[int], list[int]]:
    model, index = _model(n_params, k), -1
    indices: list[int] = []
    levels: list[int] = []
    for _ in range(k):
        if index + 1 >= stop and stop < n_params:
            return indices, levels
        index += 1 + model.code_gap(coder, 0)
        if index >= n_params:
            raise MalformedError
        indices.append(index)
        if bits == 32:
            continue
        level = model.levels.code(coder, 0) if bits > 1 else 1
        if level > LARGEST_LEVEL[bits]:
            raise MalformedError
        levels.append(-level if level and model.code_sign(coder, 0) else level)
    coder.check_end()
    return indices, levels


def _check_bits(bits: int) -> None:
    if bits not in {1, 4, 8, 32}:
        raise ValueError("bits must be 1, 4, 8 or 32")
