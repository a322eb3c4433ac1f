"""Deltas to measure with, and the levels inside a payload."""

import numpy as np

from fedge import codecs
from fedge.codecs import Sparse
from fedge.types import Array, Vector

_BLOCK = 256  # kept values that share a scale


def delta(n_params: int, seed: int = 0) -> Vector:
    """Laplace, as trained deltas nearly are; float32 (n_params,)."""
    return np.random.default_rng(seed).laplace(scale=1e-3, size=n_params).astype(np.float32)


def encode(spec: str, values: Vector) -> bytes:
    """One payload, from an empty residual; checked to hold what it should."""
    codec = codecs.get(spec)
    residual = np.zeros_like(values) if codec.uses_residual else None
    payload = codec.encode(values, residual, np.random.default_rng(0))
    check_sent(values, residual, payload)
    return payload


def check_sent(values: Vector, residual: Vector | None, payload: bytes) -> None:
    """A benchmark that computes the wrong thing is void.

    Raises:
        AssertionError: if what was sent and what was kept are not the delta, or not its largest.
    """
    if residual is None:
        return
    decoded = codecs.decode(payload)
    np.testing.assert_array_equal(residual + decoded.to_dense(), values)
    if isinstance(decoded, Sparse) and decoded.indices.size < values.size:
        least = np.abs(values[decoded.indices]).min()
        if np.abs(np.delete(values, decoded.indices)).max() > least:
            raise AssertionError("the kept values are not the largest")


def relative_error(values: Vector, payload: bytes) -> float:
    """Squared length of what decoding is off by, over that of the values."""
    error = codecs.decode(payload).to_dense().astype(np.float64) - values
    return float(error @ error / (values.astype(np.float64) @ values))


def levels_and_scales(sent: Sparse, bits: int) -> tuple[Array, Vector]:
    """The whole numbers (int8, signed) and the scales (float32, one for 256) of decoded values.

    A value is level times scale exactly, the largest level of a block is near 2**(bits - 1) - 1 and
    the scale has eight significant bits; so the first divisor from there down that gives such a
    scale is right.
    """
    levels, scales = np.zeros(sent.values.size, np.int8), []
    for start in range(0, sent.values.size, _BLOCK):
        block = sent.values[start : start + _BLOCK]
        scale = _scale(block, max(2 ** (bits - 1) - 1, 1))
        levels[start : start + _BLOCK] = np.rint(block / scale)
        scales.append(scale)
    return levels, np.array(scales, np.float32)


def _scale(block: Vector, most: int) -> np.float32:
    largest = np.abs(block).max()
    for level in range(most, 0, -1):
        scale = np.float32(largest / np.float32(level))
        quotients = block / scale
        if scale.view(np.uint32) & 0xFFFF == 0 and (quotients == np.rint(quotients)).all():
            return scale
    raise AssertionError("no scale gives these values")
