"""NumPy twin of the kernel that rounds kept values to levels."""

import numpy as np
import numpy.typing as npt

from fedge._kernels.reference.bits import BLOCK, LARGEST_LEVEL, scale_above, scale_value
from fedge._kernels.reference.rng import stochastic_levels
from fedge.types import Vector

I8 = npt.NDArray[np.int8]
U16 = npt.NDArray[np.uint16]
U32 = npt.NDArray[np.uint32]


def quantise_kept(
    residual: Vector, indices: U32, bits: int, seed: int | None, levels: I8, scales: U16
) -> None:
    """levels[i] * scale approximates residual[indices[i]], which becomes the error."""
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
        return stochastic_levels(values, scale, largest, seed, counter)
    nearest = np.rint(values * (1 / scale_value(scale)))
    level: I8 = np.clip(nearest, -largest, largest).astype(np.int8)
    return level
