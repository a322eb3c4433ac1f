"""NumPy twins of the kernels for products of rows."""

import numpy as np
import numpy.typing as npt

from fedge.types import Vector

LANES = 8
PART = 1024  # columns that are added up in float32


@np.errstate(over="ignore", invalid="ignore")
def gram_tile(rows: Vector, out: npt.NDArray[np.float64]) -> None:
    """out += rows @ rows.T, in float32 for 1024 columns at a time, then in float64.

    The products of column k go into sum k % 8, in turn; then
    ((0 + 4) + (2 + 6)) + ((1 + 5) + (3 + 7)) in float64, which is added to out.
    """
    n, width = rows.shape
    if out.shape != (n, n):
        raise ValueError("out must have a row and a column for each row")
    for start in range(0, width, PART):
        part = rows[:, start : start + PART]
        part = np.pad(part, ((0, 0), (0, -part.shape[1] % LANES)))
        lanes = np.zeros((n, n, LANES), np.float32)
        for k in range(0, part.shape[1], LANES):
            eight = part[:, k : k + LANES]
            lanes += eight[:, None] * eight[None]
        s = np.moveaxis(lanes.astype(np.float64), 2, 0)
        out += ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]))
    out[np.isnan(out)] = np.nan


@np.errstate(over="ignore", invalid="ignore")
def centre_tile(rows: Vector) -> None:
    """Subtracts from each column its mean over the rows, in place.

    The mean is the float32 sum from the first row to the last, divided by their number.
    """
    if not len(rows):
        return
    total = rows[0].copy()
    for row in rows[1:]:
        total += row
    rows -= total / np.float32(len(rows))
    rows[np.isnan(rows)] = np.nan


@np.errstate(over="ignore", invalid="ignore")
def mix_tile(mixture: Vector, rows: Vector, out: Vector) -> None:
    """out = mixture @ rows: each output is a weighted sum of rows, added in their order.

    A row with weight 0 is left out, so it adds nothing, not even a NaN.
    """
    if mixture.shape[1] != len(rows) or out.shape != (len(mixture), rows.shape[1]):
        raise ValueError("mixture must have a column for each row, and out a row for each of its")
    out[:] = 0
    for weights, total in zip(mixture, out, strict=True):
        for weight, row in zip(weights, rows, strict=True):
            if weight:
                np.add(total, weight * row, out=total)
    out[np.isnan(out)] = np.nan
