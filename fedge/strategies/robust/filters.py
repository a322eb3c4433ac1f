"""Means without the updates that stand out: by covariance (CAF), or by length (CGE)."""

import numpy as np

from fedge.strategies.robust import selection
from fedge.strategies.robust.gram import centred_gram
from fedge.strategies.robust.rows import finite_rows
from fedge.types import Vector


def caf(updates: Vector, *, n_byzantine: int) -> Vector:
    """The covariance-bound agnostic filter: less weight for updates far out where most differ.

    Args:
        updates: float32, shape (n, n_params). Rows with NaN or infinity are left out and count
            towards n_byzantine.
        n_byzantine: how many may be arbitrary; with 0 this is the mean.

    Returns:
        float32, shape (n_params,), in the units of the updates.

    Raises:
        ValueError: for another dtype or shape, unless 2 * n_byzantine < n, or if no row is finite.

    Source:
        Allouah et al., 2025, arXiv:2505.01874 (CAF). CAF in ByzFL 0.0.11 takes one step of a power
        iteration from a random vector for the first eigenvector, so its result changes from call
        to call; here it is exact. With f = 0 it returns None, for equal updates NaN, and with a
        liar of a length of 1e9 it does not end.
    """
    rows = finite_rows(updates, n_byzantine)
    weights = selection.covariance_filter_weights(centred_gram(rows), rows.n_byzantine)
    return rows.weighted_sum(weights)


def cge(updates: Vector, *, n_byzantine: int) -> Vector:
    """Comparative gradient elimination: the mean without the n_byzantine longest updates.

    Args:
        updates: float32, shape (n, n_params). Rows with NaN or infinity are left out and count
            towards n_byzantine.
        n_byzantine: how many may be arbitrary; with 0 this is the mean.

    Returns:
        float32, shape (n_params,), in the units of the updates. Of equally long ones the first
        are kept.

    Raises:
        ValueError: for another dtype or shape, unless 2 * n_byzantine < n, or if no row is finite.

    Source:
        Gupta and Vaidya, 2020, arXiv:2008.04699, which adds up what is left; here it is the mean.
        ByzFL 0.0.11 has no CGE.
    """
    rows = finite_rows(updates, n_byzantine)
    n_kept = len(rows.places) - rows.n_byzantine
    weights = np.zeros(len(rows.places))
    weights[np.argsort(rows.norms, kind="stable")[:n_kept]] = 1 / n_kept
    return rows.weighted_sum(weights)
