"""Pre-aggregators that mix updates, so that what is left differs less."""

import math

import numpy as np

from fedge.strategies.robust import selection
from fedge.strategies.robust.gram import centred_gram
from fedge.strategies.robust.rows import finite_rows
from fedge.types import Array, Vector


def nearest_neighbor_mixing(updates: Vector, *, n_byzantine: int) -> Vector:
    """Each update becomes the mean of its n - n_byzantine nearest, itself among them (NNM).

    Args:
        updates: float32, shape (n, n_params). Rows with NaN or infinity are left out and count
            towards n_byzantine.
        n_byzantine: how many may be arbitrary; with 0 every row becomes the mean.

    Returns:
        float32, shape (n, n_params), less the rows left out; for a rule to combine. Who was left
        out need not be counted in its n_byzantine again.

    Raises:
        ValueError: for another dtype or shape, unless 2 * n_byzantine < n, or if no row is finite.

    Source:
        Allouah et al., 2023, arXiv:2302.01772, algorithm 2. The same as NNM in ByzFL 0.0.11, which
        takes any of equally distant updates, where this takes the first, and allows f up to n - 1.
    """
    rows = finite_rows(updates, n_byzantine)
    return rows.mixed(selection.nearest_neighbor_mixture(centred_gram(rows), rows.n_byzantine))


def bucketing(updates: Vector, *, s: int, order: Array, n_byzantine: int = 0) -> Vector:
    """Means of s updates each, in an order that no device chooses; of the last, what is left.

    Args:
        updates: float32, shape (n, n_params). Rows with NaN or infinity are left out.
        s: how many updates make one.
        order: the numbers 0 to n - 1 in a random order, such as `rng.permutation(n)`.
        n_byzantine: how many may be arbitrary, which may be as many of the result. It changes
            nothing; all rules are called alike.

    Returns:
        float32, shape (ceil(n / s), n_params), n without the rows left out.

    Raises:
        ValueError: for another dtype or shape, unless 2 * n_byzantine < n, if no row is finite, or
            if s is less than 1 or order is none.

    Source:
        Karimireddy et al., 2022, arXiv:2006.09365, algorithm 1. The same as Bucketing in ByzFL
        0.0.11, which draws the order from the global generator of NumPy or torch.
    """
    rows = finite_rows(updates, n_byzantine)
    if s < 1:
        raise ValueError(f"s must be at least 1, not {s}")
    if not np.array_equal(np.sort(order), np.arange(len(updates))):
        raise ValueError(f"order must hold the numbers 0 to {len(updates) - 1} once each")
    n = len(rows.places)
    shuffled = np.searchsorted(rows.places, [place for place in order if place in rows.places])
    mixture = np.zeros((math.ceil(n / s), n))
    for bucket, start in zip(mixture, range(0, n, s), strict=True):
        members = shuffled[start : start + s]
        bucket[members] = 1 / members.size
    return rows.mixed(mixture)
