"""NumPy twin of the kernel for order statistics."""

import numpy as np
import numpy.typing as npt

from fedge.types import Vector


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
