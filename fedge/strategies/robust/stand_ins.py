"""NumPy twins of kernels that are on their way; this file goes when they come."""

import numpy as np

from fedge.strategies.robust.selection.products import Numbers
from fedge.types import Vector


def gram_tile(rows: Vector, out: Numbers) -> None:
    """Adds the inner products of the rows to out."""
    out += rows.astype(np.float64) @ rows.T.astype(np.float64)


def mix_tile(mixture: Vector, rows: Vector, out: Vector) -> None:
    """out = mixture @ rows, added in row order, without entries that are 0."""
    out[:] = 0
    for target, weights in zip(out, mixture, strict=True):
        for place in np.flatnonzero(weights):
            np.add(target, weights[place] * rows[place], out=target)


def nearest_tile(rows: Vector, n_kept: int, out: Vector) -> None:
    """The mean of the n_kept values of each column that are nearest to its median."""
    median = np.median(rows, axis=0)
    order = np.argsort(np.abs(rows - median), axis=0, kind="stable")[:n_kept]
    out[:] = np.take_along_axis(rows, order, axis=0).mean(axis=0)
