"""The geometric median by its inner products."""

import numpy as np

from fedge.strategies.robust.selection.check import check_gram
from fedge.strategies.robust.selection.products import Numbers, times

_NU = 1e-6  # of the rows' mean distance from the start
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
        start: float64, shape (n,): weights of the first point; the mean if None.
        nu: smaller distances count as this; a millionth of the mean distance from the start if
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
    n = len(gram)
    weights = np.full(n, 1 / n) if start is None else start
    distances = _distances(gram, weights)
    scale = float(np.sum(distances)) / n
    least = _NU * scale if nu is None else nu
    if least == 0:  # all rows are the same
        return np.full(n, 1 / n)
    for _ in range(iterations):
        inverse = 1 / np.maximum(distances, least)
        last, weights = weights, inverse / np.sum(inverse)
        distances = _distances(gram, weights)
        moved = weights - last
        if np.sum(moved * times(gram, moved)) <= (_TOLERANCE * scale) ** 2:
            break
    return weights


def _distances(gram: Numbers, weights: Numbers) -> Numbers:
    """From the point with these weights to each row."""
    products = times(gram, weights)
    squares = np.diag(gram) - 2 * products + np.sum(weights * products)
    return np.sqrt(np.maximum(squares, 0.0))
