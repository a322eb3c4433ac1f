"""CAF: weights taken away along the direction in which the rows differ most."""

import numpy as np

from fedge.strategies.robust.selection.check import check_gram
from fedge.strategies.robust.selection.dominant import dominant
from fedge.strategies.robust.selection.products import Numbers, times

_LEAST_LOSS = 0.001  # of all weights together in one step


def covariance_filter_weights(gram: Numbers, f: int) -> Numbers:
    """Weights of the mean whose weighted covariance has the least largest eigenvalue met.

    All rows begin with weight 1. As long as the weights add up to more than n - 2 * f, each loses
    a share: its squared distance from the mean along the first eigenvector of the covariance,
    over the largest such. That may be the distance of a row without weight; but where so little
    would be lost that the steps would not end, it is the largest of a row that still counts.

    Args:
        gram: float64, shape (n, n), n > 2 * f, of centred rows.
        f: how many rows may be arbitrary; with 0 this is the mean.

    Returns:
        float64, shape (n,), adding up to 1.

    Source:
        Allouah et al., 2025, arXiv:2505.01874 (CAF). CAF in ByzFL 0.0.11 takes a
        random vector after one step of a power iteration for the eigenvector, so its result
        changes from call to call; here the eigenvector is exact. It knows no row that still counts,
        and so does not end if a liar is 1e9 long. With f = 0 it returns None.
    """
    check_gram(gram, f)
    n = len(gram)
    counts, best, least = np.ones(n), np.full(n, 1 / n), np.inf
    while np.sum(counts) > n - 2 * f:
        weights = counts / np.sum(counts)
        products = _about_the_mean(gram, weights)
        roots = np.sqrt(weights)
        value, vector = dominant(products * roots[:, None] * roots[None, :])
        if value < least:
            best, least = weights, float(value)
        along = times(products, roots * vector) ** 2
        farthest = float(np.max(along))
        if np.sum(counts * along) < _LEAST_LOSS * farthest:
            farthest = float(np.max(along[counts > 0]))
        if not farthest > 0:  # the rows that still count are all the same
            break
        counts = counts * np.maximum(1 - along / farthest, 0.0)
    return best


def _about_the_mean(gram: Numbers, weights: Numbers) -> Numbers:
    """Inner products of the rows less the mean with these weights."""
    products = times(gram, weights)
    return gram - products[:, None] - products[None, :] + np.sum(weights * products)
