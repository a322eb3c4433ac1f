"""Norms made shorter, about the origin or about a point that moves."""

import numpy as np

from fedge.strategies.robust.selection.products import Numbers, times


def clip_shares(norms: Numbers, c: float) -> Numbers:
    """What each row is multiplied by so that none is longer than c: min(1, c / norm).

    Source:
        The same as Clipping in ByzFL 0.0.11.
    """
    if not c >= 0:
        raise ValueError(f"c must be at least 0, not {c}")
    return np.divide(c, norms, out=np.ones_like(norms, dtype=np.float64), where=norms > c)


def arc_shares(norms: Numbers, f: int) -> Numbers:
    """What adaptive robust clipping multiplies each row by.

    The floor(2 * f * (n - f) / n) longest rows are made as long as the next one.

    Args:
        norms: float64, shape (n,).
        f: how many rows may be arbitrary, 2 * f < n.

    Returns:
        float64, shape (n,), 0 to 1.

    Source:
        Allouah et al., 2025, arXiv:2405.14432, algorithm 2. ARC in ByzFL 0.0.11 multiplies in
        floating point before it takes the floor, so for n = 242 and f = 33 and a few larger cohorts
        it clips one row fewer; and it allows f up to n.
    """
    n = len(norms)
    if f < 0 or 2 * f >= n:
        raise ValueError(f"n_byzantine must be 0 to less than half of {n} updates: {f}")
    n_clipped = 2 * f * (n - f) // n
    return clip_shares(norms, float(np.sort(norms)[n - n_clipped - 1]))


def centered_clipping_weights(gram: Numbers, tau: float, iterations: int) -> Numbers:
    """Weights of the point that centred clipping reaches from the origin.

    Each step adds to the point the mean of the rows' differences from it, each made no longer
    than tau.

    Args:
        gram: float64, shape (n, n), of rows as they are, about the point to start from.
        tau: the longest difference that counts in full, in the units of the rows.
        iterations: how many steps.

    Returns:
        float64, shape (n,). They add up to 1 or less: what is missing is the origin's.

    Source:
        Karimireddy et al., 2021, arXiv:2012.10333, algorithm 2. The same as CenteredClipping in
        ByzFL 0.0.11, where L is the number of steps and the result is the next call's start.
    """
    if not tau >= 0 or iterations < 0:
        raise ValueError(f"tau and iterations must be at least 0, not {tau} and {iterations}")
    n = len(gram)
    weights = np.zeros(n)
    for _ in range(iterations):
        products = times(gram, weights)
        squares = np.diag(gram) - 2 * products + np.sum(weights * products)
        shares = clip_shares(np.sqrt(np.maximum(squares, 0.0)), tau)
        weights = weights * (1 - np.sum(shares) / n) + shares / n
    return weights
