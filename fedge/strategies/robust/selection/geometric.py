"""The geometric median by its inner products."""

import numpy as np

from fedge.strategies.robust.selection.check import check_gram
from fedge.strategies.robust.selection.distances import squared_distances
from fedge.strategies.robust.selection.products import Numbers, times

_NU = 1e-6  # of the rows' median distance from the start
_TOLERANCE = 1e-9  # of the same, how far the last step went


def geometric_median_weights(
    gram: Numbers,
    *,
    start: Numbers | None = None,
    nu: float | None = None,
    iterations: int = 10_000,
) -> Numbers:
    """Weights of the point with the least sum of distances to all rows, by Weiszfeld's steps.

    Each step takes the mean of the rows, weighted by one over their distances from the last
    point. The steps end when they no longer move the point.

    Args:
        gram: float64, shape (n, n), of rows centred at any point; about the origin if the weights
            of `start` do not add up to 1.
        start: float64, shape (n,): weights of the first point. If None it is the mean of a bare
            majority of rows that are close together, so that no liar says where the steps begin.
        nu: smaller distances count as this; a millionth of the median distance from the start if
            None.
        iterations: most steps to take.

    Returns:
        float64, shape (n,), adding up to 1 (after one step or more).

    Source:
        Weiszfeld, 1937, with the smoothing of Pillutla et al., 2019, arXiv:1912.13445, algorithm
        2. GeometricMedian in ByzFL 0.0.11 starts at the origin and takes 3 steps, nu = 0.1, which
        is not yet the median; `start=np.zeros(n), nu=0.1, iterations=3` does the same.
    """
    check_gram(gram, 0)
    weights = _majority(gram) if start is None else start
    distances = _distances(gram, weights)
    scale = float(np.median(distances))
    least = _NU * scale if nu is None else nu
    if least == 0:  # most rows are here, so no other point has a smaller sum
        return weights
    for _ in range(iterations):
        inverse = 1 / np.maximum(distances, least)
        last, weights = weights, inverse / np.sum(inverse)
        distances = _distances(gram, weights)
        moved = weights - last
        if np.sum(moved * times(gram, moved)) <= (_TOLERANCE * scale) ** 2:
            break
    return weights


def _majority(gram: Numbers) -> Numbers:
    """Equal weights for the row with the least sum of distances, and half of the others."""
    n = len(gram)
    distances = np.sqrt(squared_distances(gram))
    middle = int(np.argmin(np.add.reduce(distances, axis=0)))
    weights = np.zeros(n)
    weights[np.argsort(distances[middle], kind="stable")[: n // 2 + 1]] = 1 / (n // 2 + 1)
    return weights


def _distances(gram: Numbers, weights: Numbers) -> Numbers:
    """From the point with these weights to each row."""
    products = times(gram, weights)
    squares = np.diag(gram) - 2 * products + np.sum(weights * products)
    return np.sqrt(np.maximum(squares, 0.0))
