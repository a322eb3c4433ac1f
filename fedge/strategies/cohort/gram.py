"""All that is known about the distances and angles in a cohort, in numbers between its members."""

from dataclasses import dataclass

import numpy as np

from fedge.types import Array


@dataclass(frozen=True, slots=True, eq=False)
class Gram:
    """Scalar products of a cohort's deltas, and of the delta 0, about one common centre.

    Large common parts of all deltas would drown the small differences that rules go by, so all
    points are taken relative to their mean. With 0 as one more point, nothing is lost by that.

    Attributes:
        points: float64, shape (n + 1, n + 1): the members in their order, and 0 as the last.
    """

    points: Array

    @property
    def centred(self) -> Array:
        """Scalar products of the deltas less their mean: float64, shape (n, n)."""
        return self.points[:-1, :-1].copy()

    @property
    def uncentred(self) -> Array:
        """Scalar products of the deltas themselves: float64, shape (n, n)."""
        to_zero = self.points[:-1, -1]
        found: Array = self.points[:-1, :-1] - to_zero[:, None] - to_zero + self.points[-1, -1]
        return found

    @property
    def norms(self) -> Array:
        """The lengths of the deltas: float64, shape (n,)."""
        points = self.points
        squares = points.diagonal()[:-1] - 2 * points[:-1, -1] + points[-1, -1]
        found: Array = np.sqrt(np.maximum(squares, 0.0))
        return found

    def mixed(self, mixture: Array) -> "Gram":
        """That of weighted sums of the deltas; the mixture has shape (n after, n before)."""
        n_after = len(mixture)
        points = np.zeros((n_after + 1, len(self.points)))
        points[:-1, :-1] = mixture
        points[:-1, -1] = 1.0 - mixture.sum(axis=1)  # what is missing to 1 lies at 0
        points[-1, -1] = 1.0
        points -= points[:-1].sum(axis=0) / n_after
        return Gram(_times(points, _times(self.points, points.T)))


def _times(left: Array, right: Array) -> Array:
    """The product of two matrices, added in order: a BLAS would not give the same bits anywhere."""
    out = np.zeros((left.shape[0], right.shape[1]))
    for column, row in zip(left.T, right, strict=True):
        out += column[:, None] * row
    return out
