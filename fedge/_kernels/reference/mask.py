"""NumPy twin of the kernel for seeded masks."""

import numpy as np
import numpy.typing as npt

from fedge._kernels.reference.bits import MAX_PARAMS
from fedge._kernels.reference.rng import MASK, random_bits
from fedge.types import Vector

U32 = npt.NDArray[np.uint32]


def draw_mask(n_params: int, seed: int, indices: U32, values: Vector) -> None:
    """One place of each run, all equally likely to length / 2**32; its value times that length.

    Run j of k has the places from j * n_params // k to before (j + 1) * n_params // k.
    """
    k = len(indices)
    if len(values) != k:
        raise ValueError("indices and values must have the same length")
    if not k <= n_params <= MAX_PARAMS:
        raise ValueError("n_params must be at most 2**29 and at least the number of indices")
    if k == 0:
        return
    starts = np.arange(k + 1, dtype=np.int64) * n_params // k
    lengths = np.diff(starts)
    drawn = random_bits(seed, MASK, 0, k).astype(np.int64)
    indices[:] = starts[:-1] + (drawn * lengths >> 32)
    values *= lengths.astype(np.float32)


def draw_mask_range(
    n_params: int, seed: int, k: int, first: int, indices: U32, values: Vector
) -> None:
    """Some of the k places that draw_mask draws: those of the runs from `first` on."""
    if len(values) != len(indices):
        raise ValueError("indices and values must have the same length")
    if not 0 <= k <= n_params <= MAX_PARAMS:
        raise ValueError("n_params must be at most 2**29 and at least the number of runs")
    if first < 0 or first + len(indices) > k:
        raise ValueError("the runs must be within those of the mask")
    places, widths = np.zeros(k, np.uint32), np.ones(k, np.float32)
    draw_mask(n_params, seed, places, widths)
    indices[:] = places[first : first + len(indices)]
    values *= widths[first : first + len(indices)]
