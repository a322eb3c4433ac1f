"""The counter-based rng: bits that depend on a seed, a purpose and a counter, on nothing else."""

import numpy as np
import numpy.typing as npt

from fedge._kernels.reference.bits import scale_value
from fedge.types import Vector

I8 = npt.NDArray[np.int8]
U32 = npt.NDArray[np.uint32]

SIGNS, MASK = 0x5349474E, 0x4D41534B  # purposes, so that one seed serves several


def random_bits(seed: int, purpose: int, start: int, n: int) -> U32:
    """32 bits for each of n counters from start."""
    counters = np.arange(start, start + n, dtype=np.uint32)
    salt = _mix(np.array([seed ^ purpose], np.uint32))
    return _mix(_mix(counters ^ np.uint32(seed)) ^ salt)


def stochastic_levels(
    values: Vector, scale: np.uint16, largest: int, seed: int, counter: int
) -> I8:
    """Stochastic rounding: values j and j + 128 share the hash of (counter + j) ^ seed."""
    hashes = _mix(np.arange(counter, counter + 128, dtype=np.uint32) ^ np.uint32(seed))
    bits = np.concatenate([hashes & 0xFFFF, hashes >> 16])[: values.size].astype(np.int32)
    fixed = (values * (1 / scale_value(scale)) * np.float32(65536)).astype(np.int32)
    level: I8 = np.clip((fixed + bits) >> 16, -largest, largest).astype(np.int8)
    return level


def _mix(x: U32) -> U32:
    """lowbias32 of C. Wellons, "Prospecting for hash functions", 2018."""
    x = (x ^ (x >> np.uint32(16))) * np.uint32(0x7FEB352D)
    x = (x ^ (x >> np.uint32(15))) * np.uint32(0x846CA68B)
    return x ^ (x >> np.uint32(16))
