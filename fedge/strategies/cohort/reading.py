"""What a rule finds out by one pass over all rows, range by range."""

from dataclasses import replace

import numpy as np

from fedge import _kernels
from fedge.strategies.cohort.cohort import Cohort
from fedge.strategies.cohort.gram import Gram
from fedge.types import Array, Vector


def gram_of(cohort: Cohort) -> Gram:
    """The Gram matrix that the cohort brings along, or else one pass over its rows."""
    if cohort.gram is not None:
        return cohort.gram
    n, centre = len(cohort.members), _centre(cohort)
    points = np.zeros((n + 1, n + 1))
    for start, stop in cohort.ranges():
        _kernels.gram_tile(_points(cohort, start, stop, centre), points)
    return Gram(points)


def _points(cohort: Cohort, start: int, stop: int, centre: Vector) -> Vector:
    """Columns of every delta and of the delta 0, all less the centre."""
    rows = np.zeros((len(cohort.members) + 1, stop - start), np.float32)
    rows[:-1] = cohort.deltas.columns(start, stop)
    mean = np.empty((1, stop - start), np.float32)
    _kernels.mix_tile(centre, rows[:-1], mean)
    rows -= mean
    return rows


def _centre(cohort: Cohort) -> Vector:
    """Weights of the mean of the shorter half, or of all where norms have not been measured.

    A single long delta would move the mean of all so far that the others lose their digits.
    """
    n, norms = len(cohort.members), [one.norm for one in cohort.members if one.norm is not None]
    places = np.arange(n)
    if len(norms) == n:
        places = np.argsort(norms, kind="stable")[: n - n // 2]
    weights = np.zeros((1, n), np.float32)
    weights[0, places] = 1 / places.size
    return weights


def measured(cohort: Cohort) -> tuple[Cohort, Array]:
    """The cohort and the lengths of its deltas, float64.

    Where they are not known, that takes a pass over the rows; its Gram matrix is then the cohort's.
    """
    known = [member.norm for member in cohort.members if member.norm is not None]
    if cohort.gram is None and len(known) == len(cohort.members):
        return cohort, np.array(known, np.float64)
    cohort = replace(cohort, gram=gram_of(cohort))
    return cohort, gram_of(cohort).norms


def dots_with(cohort: Cohort, vector: Vector) -> Array:
    """Scalar products of every delta with this vector: float64, shape (n,)."""
    total = np.zeros(len(cohort.members))
    for start, stop in cohort.ranges():
        part = vector[start:stop].astype(np.float64)
        for place, row in enumerate(cohort.deltas.columns(start, stop)):
            total[place] += np.sum(row * part)
    return total
