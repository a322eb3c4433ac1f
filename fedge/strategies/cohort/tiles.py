"""Stands in for the kernels of the same names until they are compiled."""

import numpy as np

from fedge.types import Vector


def present_tile(rows: Vector, f: int, out: Vector) -> None:
    """The mean without the f smallest and largest present values, times the present share."""
    n, present = len(rows), (~np.isnan(rows)).sum(axis=0)
    cut = np.minimum(f, np.maximum(present - 1, 0) // 2)
    ordered, places = np.sort(rows, axis=0), np.arange(n)[:, None]
    kept = (places >= cut) & (places < present - cut)
    total = np.where(kept, ordered, 0).sum(axis=0, dtype=np.float32)
    mean = total / np.maximum(present - 2 * cut, 1).astype(np.float32)
    out[:] = mean * (present.astype(np.float32) / np.float32(n))


def nearest_tile(rows: Vector, k: int, out: Vector) -> None:
    """The mean of the present values nearest to their median, all but f, times their share."""
    for column, values in enumerate(rows.T):
        own = np.sort(values[~np.isnan(values)])
        if not own.size:
            out[column] = 0
            continue
        middle = np.float32(np.median(own))
        m, n = own.size, len(rows)
        n_near = max(m - (n - k), min(k, 2 - m % 2))
        near = np.argsort(abs(own - middle), kind="stable")[:n_near]
        out[column] = own[np.sort(near)].mean() * np.float32(own.size / len(rows))
