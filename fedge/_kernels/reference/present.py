"""NumPy twins of the kernels for columns that are not sent whole."""

import numpy as np

from fedge.types import Vector

_ZERO = np.float32(0)


def present_tile(rows: Vector, f: int, out: Vector) -> None:
    """out[j] = m / n times the mean of column j's m values without the f smallest and f largest.

    NaN is no value. Of few values (m - 1) // 2 of each side are trimmed at most. A column without
    any value gives 0.
    """
    if f < 0:
        raise ValueError("f must not be negative")
    _check(rows, out)
    for j, column in enumerate(rows.T):
        values = _sorted(column)
        n_trimmed = max(min(f, (len(values) - 1) // 2), 0)
        out[j] = _share(values[n_trimmed : len(values) - n_trimmed], len(values), len(rows))


@np.errstate(over="ignore", invalid="ignore")
def nearest_tile(rows: Vector, k: int, out: Vector) -> None:
    """out[j] = m / n times the mean of those of column j's m values that are nearest the median.

    NaN is no value. How many are nearest: max(m - (n - k), min(k, 2 - m % 2)). A column without
    any value gives 0.
    """
    n = len(rows)
    if not 1 <= k <= n:
        raise ValueError("k must be from 1 to the number of rows")
    _check(rows, out)
    for j, column in enumerate(rows.T):
        values = _sorted(column)
        m = len(values)
        n_near = max(m - (n - k), min(k, 2 - m % 2)) if m else 0
        middle = _mean(values[(m - 1) // 2 : m // 2 + 1]) if m else _ZERO
        below, above = middle - values[: m - n_near], values[n_near:] - middle
        first = int(np.sum(below > above))
        out[j] = _share(values[first : first + n_near], m, n)


def _check(rows: Vector, out: Vector) -> None:
    n, d = rows.shape
    if len(out) != d or (d > 1 and rows.strides[1] != rows.itemsize):
        raise ValueError("rows must be of adjacent values, out must have one for each column")
    if not 1 <= n <= 2**16:
        raise ValueError("there must be 1 to 65536 rows")


def _sorted(column: Vector) -> Vector:
    """The values of a column, -0 below +0."""
    values = column[~np.isnan(column)]
    return values[np.lexsort((~np.signbit(values), values))]


def _share(values: Vector, m: int, n: int) -> np.float32:
    with np.errstate(over="ignore", invalid="ignore"):
        return _mean(values) * (np.float32(m) / np.float32(n)) if len(values) else _ZERO


@np.errstate(over="ignore", invalid="ignore")
def _mean(values: Vector) -> np.float32:
    """Summed in float32 from the smallest to the largest."""
    total = values[0]
    for value in values[1:]:
        total = total + value
    mean = np.float32(total / np.float32(len(values)))
    return np.float32(np.nan) if np.isnan(mean) else mean
