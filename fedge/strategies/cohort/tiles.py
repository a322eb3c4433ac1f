"""Stands in for the kernels of the same names until they are compiled."""

import numpy as np

from fedge.types import Array, Vector


def centre_tile(rows: Vector) -> None:
    """Subtracts each column's mean over the rows."""
    total = np.zeros(rows.shape[1], np.float32)
    for row in rows:
        total += row
    rows -= total / np.float32(len(rows))


def gram_tile(rows: Vector, out: Array) -> None:
    """Adds rows @ rows.T to out."""
    for place, row in enumerate(rows.astype(np.float64)):
        out[place] += (rows * row).sum(axis=1)


def mix_tile(mixture: Vector, rows: Vector, out: Vector) -> None:
    """out = mixture @ rows, added in row order."""
    out[:] = 0
    for column, row in zip(mixture.T, rows, strict=True):
        out += column[:, None] * row


def trimmed(rows: Vector, f: int, out: Vector) -> None:
    """The mean without the f smallest and largest present values, times the present share."""
    n, present = len(rows), (~np.isnan(rows)).sum(axis=0)
    cut = np.minimum(f, np.maximum(present - 1, 0) // 2)
    ordered, places = np.sort(rows, axis=0), np.arange(n)[:, None]
    kept = (places >= cut) & (places < present - cut)
    total = np.where(kept, ordered, 0).sum(axis=0, dtype=np.float32)
    mean = total / np.maximum(present - 2 * cut, 1).astype(np.float32)
    out[:] = mean * (present.astype(np.float32) / np.float32(n))


def near_median(rows: Vector, f: int, out: Vector) -> None:
    """The mean of the present values nearest to their median, all but f, times their share."""
    for column, values in enumerate(rows.T):
        own = np.sort(values[~np.isnan(values)])
        if not own.size:
            out[column] = 0
            continue
        middle = np.float32(np.median(own))
        near = np.argsort(abs(own - middle), kind="stable")[
            : own.size - min(f, (own.size - 1) // 2)
        ]
        out[column] = own[np.sort(near)].mean() * np.float32(own.size / len(rows))
