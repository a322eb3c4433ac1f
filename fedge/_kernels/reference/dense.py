"""NumPy twins of the kernels for dense payloads."""

import numpy as np
import numpy.typing as npt

from fedge._kernels.reference.bits import BLOCK, is_scale, scale_above, scale_value
from fedge._kernels.reference.rng import stochastic_levels
from fedge.types import Vector

U8 = npt.NDArray[np.uint8]


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
        levels = stochastic_levels(block, scale, 127, seed, 128 * b)
        body = scale.tobytes() + levels.tobytes()
        out[b * 258 : b * 258 + len(body)] = np.frombuffer(body, np.uint8)
    return True


@np.errstate(over="ignore")
def accumulate_dense(body: bytes | memoryview, bits: int, weight: float, out: Vector) -> bool:
    """out += weight * value for every value of a dense body.

    Returns:
        False, with out untouched, if body has another length or holds what no encoder writes.
    """
    _check_bits(bits)
    values = _floats(bytes(body)) if bits == 32 else _levels(bytes(body))
    if values is None or values.size != len(out):
        return False
    out += np.float32(weight) * values
    return True


def fill_range_dense(
    body: bytes | memoryview, bits: int, n_params: int, start: int, out: Vector
) -> bool:
    """out[i] = value start + i of a dense body, as accumulate_dense adds it to zero.

    Only the values of the range are looked at, and for int8 the scales of their blocks.

    Returns:
        False, with out unfinished, if body has another length or what was read is of no encoder.
    """
    _check_bits(bits)
    stop = start + len(out)
    if start < 0 or stop > n_params:
        raise ValueError("the range must be within the parameters")
    if len(body) != (4 * n_params if bits == 32 else n_params + 2 * -(-n_params // BLOCK)):
        return False
    if start == stop:
        return True
    if bits == 32:
        values = _floats(bytes(body)[4 * start : 4 * stop])
    else:
        first, last = start // BLOCK, -(-stop // BLOCK)
        values = _levels(bytes(body)[first * (BLOCK + 2) : last * (BLOCK + 2)])
        values = None if values is None else values[start - first * BLOCK : stop - first * BLOCK]
    if values is None:
        return False
    out[:] = np.float32(0) + values
    return True


def sum_of_squares(values: Vector, out: npt.NDArray[np.float64]) -> None:
    """out[0] = the sum of the squares, in float64, in an order that every machine keeps.

    Value i goes into sum i % 8, in turn; then ((0 + 4) + (2 + 6)) + ((1 + 5) + (3 + 7)).
    """
    if len(out) != 1:
        raise ValueError("out must have one entry")
    sums = [0.0] * 8
    for i, value in enumerate(values.tolist()):
        sums[i % 8] += value * value
    out[0] = ((sums[0] + sums[4]) + (sums[2] + sums[6])) + (
        (sums[1] + sums[5]) + (sums[3] + sums[7])
    )


def _check_bits(bits: int) -> None:
    if bits not in {8, 32}:
        raise ValueError("bits must be 8 or 32")


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
