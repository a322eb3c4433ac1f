"""NumPy twins of the kernels for rotated payloads."""

import numpy as np
import numpy.typing as npt

from fedge._kernels.reference.rng import SIGNS, random_bits
from fedge.types import Vector

F64 = npt.NDArray[np.float64]
U8 = npt.NDArray[np.uint8]

ROTATED = 4096  # values that are rotated together
SMALLEST, LARGEST = np.float32(2.0**-126), np.float32(2.0**90)  # scales

# Of |x| for a standard normal x, by bits; a test derives them.
CENTROIDS = {
    1: [0.797884561],
    2: [0.452780035, 1.51041761],
    3: [0.245094179, 0.756005281, 1.34390928, 2.1519457],
    4: [
        *[0.12839503, 0.388048299, 0.656759119, 0.942340456],
        *[1.2562312, 1.61804639, 2.06901723, 2.73258957],
    ],
}


def fwht(values: Vector) -> None:
    """Walsh-Hadamard transform in place, without a factor: twice gives len(values) times values."""
    n, h = len(values), 1
    if n < 1 or n & (n - 1):
        raise ValueError("the number of values must be a power of two")
    while h < n:
        pairs = values.reshape(-1, 2, h)
        low, high = pairs[:, 0] + pairs[:, 1], pairs[:, 0] - pairs[:, 1]
        pairs[:, 0], pairs[:, 1] = low, high
        h *= 2


@np.errstate(over="ignore", invalid="ignore", divide="ignore")
def quantise_rotated(values: Vector, seed: int, bits: int, out: U8) -> bool:
    """Rotated values to the nearest of 2**bits centroids.

    Returns:
        False, with out unfinished, if a value is not finite or a scale is above 2**90.
    """
    _check_bits(bits)
    if len(out) != _size(len(values), bits):
        raise ValueError("out must have 4 bytes a block and bits / 8 a value")
    body = b""
    for b, part in enumerate(_blocks(values)):
        block = part.copy()
        _rotate(block, seed, b)
        coded = _coded(block, bits)
        if coded is None:
            return False
        body += coded
    out[:] = np.frombuffer(body, np.uint8)
    return True


def _coded(block: Vector, bits: int) -> bytes | None:
    squares = _dot(block, block)
    if not np.isfinite(squares):
        return None
    centroids = np.array(CENTROIDS[bits], np.float32)
    halfway = (centroids[:-1].astype(np.float64) + centroids[1:].astype(np.float64)) * 0.5
    thresholds = (halfway * np.sqrt(squares / block.size)).astype(np.float32)
    magnitudes = (np.abs(block)[:, None] > thresholds).sum(axis=1)
    is_minus = np.signbit(block)
    along = _dot(block, np.where(is_minus, -centroids[magnitudes], centroids[magnitudes]))
    scale = np.float32(squares / along) if along > 0 else np.float32(0)
    if scale > LARGEST:
        return None
    scale = scale if scale >= SMALLEST else np.float32(0)
    levels = (magnitudes | is_minus.astype(np.int64) << (bits - 1))[:, None]
    packed = np.packbits((levels >> np.arange(bits) & 1).astype(np.bool_), bitorder="little")
    return scale.tobytes() + packed.tobytes()


def _dot(a: Vector, b: Vector) -> np.float64:
    """In eight sums of every eighth product: one order for every machine."""
    products = a.astype(np.float64) * b.astype(np.float64)
    rows = np.pad(products, (0, -products.size % 8)).reshape(-1, 8)
    sums: F64 = np.cumsum(rows, axis=0)[-1]
    while sums.size > 1:
        sums = sums[0::2] + sums[1::2]
    return np.float64(sums[0])


@np.errstate(over="ignore")
def accumulate_rotated(
    body: bytes | memoryview, seed: int, bits: int, weight: float, out: Vector
) -> bool:
    """out += weight * value for every value of a rotated body.

    Returns:
        False, with out untouched, if body has another length or holds what no encoder writes.
    """
    _check_bits(bits)
    if len(body) != _size(len(out), bits):
        return False
    values, left = [np.empty(0, np.float32)], bytes(body)
    for b, part in enumerate(_blocks(out)):
        size = 4 + (part.size * bits + 7) // 8
        block = _values(left[:size], seed, bits, b, part.size)
        if block is None:
            return False
        values.append(block)
        left = left[size:]
    out += np.float32(weight) * np.concatenate(values)
    return True


@np.errstate(over="ignore")
def fill_range_rotated(
    body: bytes | memoryview, seed: int, bits: int, n: int, start: int, out: Vector
) -> bool:
    """out[i] = value start + i of a rotated body, as accumulate_rotated adds it to zero.

    Only the blocks of the range are looked at.

    Returns:
        False, with out unfinished, if body has another length or what was read is of no encoder.
    """
    _check_bits(bits)
    stop = start + len(out)
    if start < 0 or stop > n:
        raise ValueError("the range must be within the parameters")
    if len(body) != _size(n, bits):
        return False
    left, first = bytes(body), 0
    for b, part in enumerate(_blocks(np.zeros(n, np.float32))):
        size = 4 + (part.size * bits + 7) // 8
        if first < stop and start < first + part.size:
            block = _values(left[:size], seed, bits, b, part.size)
            if block is None:
                return False
            low, high = max(start, first), min(stop, first + part.size)
            out[low - start : high - start] = np.float32(0) + block[low - first : high - first]
        left, first = left[size:], first + part.size
    return True


def _values(coded: bytes, seed: int, bits: int, number: int, m: int) -> Vector | None:
    """The values of a block, None if its scale is of no encoder."""
    (scale,) = np.frombuffer(coded[:4], "<f4")
    if not (scale == 0 or SMALLEST <= scale <= LARGEST):
        return None
    block = _chosen(coded[4:], m, bits)
    _rotate_back(block, seed, number)
    values: Vector = block * scale
    return values


def _chosen(packed: bytes, m: int, bits: int) -> Vector:
    """The signed centroids of m levels."""
    stream = np.unpackbits(np.frombuffer(packed, np.uint8), count=m * bits, bitorder="little")
    levels = (stream.reshape(m, bits).astype(np.int64) << np.arange(bits)).sum(axis=1)
    centroids = np.array(CENTROIDS[bits], np.float32)
    chosen: Vector = np.concatenate([centroids, -centroids])[levels]
    return chosen


def _check_bits(bits: int) -> None:
    if not 1 <= bits <= 4:
        raise ValueError("bits must be 1 to 4")


def _blocks(values: Vector) -> list[Vector]:
    """Views of 4096 values; the last one takes what is left over if that is less than half."""
    n_blocks = min(len(values), 1) if len(values) < ROTATED else (len(values) + 2048) // ROTATED
    return np.split(values, np.arange(1, n_blocks) * ROTATED) if n_blocks else []


def _size(n: int, bits: int) -> int:
    n_blocks = min(n, 1) if n < ROTATED else (n + 2048) // ROTATED
    return 4 * n_blocks + (n * bits + 7) // 8


def _rotate(block: Vector, seed: int, number: int) -> None:
    for part, signs in _stages(block, seed, number):
        np.multiply(part, signs, out=part)
        fwht(part)


def _rotate_back(block: Vector, seed: int, number: int) -> None:
    for part, signs in reversed(_stages(block, seed, number)):
        fwht(part)
        np.multiply(part, signs, out=part)


def _stages(block: Vector, seed: int, number: int) -> list[tuple[Vector, Vector]]:
    """What is transformed one after the other, and the factors of its values: signs / root."""
    power = 1 << (block.size.bit_length() - 1)
    stages = []
    for stage in range(4):
        start = block.size - power if stage % 2 else 0
        if stage % 2 and start == 0:
            continue
        bits = random_bits(seed, SIGNS, (4 * number + stage) * 128, (power + 31) // 32)
        is_minus = (bits[:, None] >> np.arange(31, -1, -1, dtype=np.uint32) & 1).ravel()[:power]
        signs = 1 - 2 * is_minus.astype(np.float32)
        stages.append((block[start : start + power], signs * _inverse_root(power)))
    return stages


def _inverse_root(power: int) -> np.float32:
    exponent = power.bit_length() - 1
    odd = np.float32(0.70710678) if exponent % 2 else np.float32(1)
    return odd * np.float32(2.0 ** -(exponent // 2))
