"""What a rule finds out by one pass over all rows, range by range."""

import numpy as np

from fedge.strategies.cohort import tiles as _kernels
from fedge.strategies.cohort.cohort import Cohort
from fedge.strategies.cohort.gram import Gram
from fedge.types import Array, Vector


def gram_of(cohort: Cohort) -> Gram:
    """The Gram matrix that the cohort brings along, or else one pass over its rows."""
    if cohort.gram is not None:
        return cohort.gram
    n = len(cohort.members)
    points = np.zeros((n + 1, n + 1))
    for start, stop in cohort.ranges():
        rows = np.zeros((n + 1, stop - start), np.float32)
        rows[:-1] = cohort.deltas.columns(start, stop)
        first = rows[0].copy()
        _kernels.centre_tile(rows[:-1])
        np.subtract(rows[0], first, out=rows[-1])  # 0 less the mean
        _kernels.gram_tile(rows, points)
    return Gram(points)


def norms_of(cohort: Cohort) -> Array:
    """The lengths of the deltas, float64: as measured, or from one pass over the rows."""
    known = [member.norm for member in cohort.members]
    if cohort.gram is None and None not in known:
        return np.array(known, np.float64)
    return gram_of(cohort).norms


def dots_with(cohort: Cohort, vector: Vector) -> Array:
    """Scalar products of every delta with this vector: float64, shape (n,)."""
    total = np.zeros(len(cohort.members))
    for start, stop in cohort.ranges():
        part = vector[start:stop].astype(np.float64)
        for place, row in enumerate(cohort.deltas.columns(start, stop)):
            total[place] += np.sum(row * part)
    return total
