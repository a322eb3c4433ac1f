"""Krum and Multi-Krum: the updates that are close to most others."""

import numpy as np

from fedge.strategies.robust import selection
from fedge.strategies.robust.gram import centred_gram
from fedge.strategies.robust.rows import finite_rows
from fedge.types import Vector


def krum(updates: Vector, *, n_byzantine: int) -> Vector:
    """The update with the least sum of squared distances to its n - n_byzantine - 1 nearest.

    Args:
        updates: float32, shape (n, n_params). Rows with NaN or infinity are left out and count
            towards n_byzantine.
        n_byzantine: how many may be arbitrary.

    Returns:
        float32, shape (n_params,): one of the updates, of equals the first.

    Raises:
        ValueError: for another dtype or shape, unless 2 * n_byzantine < n, or if no row is finite.

    Source:
        Blanchard et al., 2017, arXiv:1703.02757, section 4. The same as Krum in ByzFL 0.0.11; the
        paper counts n - n_byzantine - 2 nearest. There a NaN in one update may be the result.
    """
    rows = finite_rows(updates, n_byzantine)
    choice = selection.krum_choice(centred_gram(rows), rows.n_byzantine)
    return np.array(updates[rows.places[choice]])


def multi_krum(updates: Vector, *, n_byzantine: int, m: int | None = None) -> Vector:
    """The mean of the m updates with the least Krum scores.

    Args:
        updates: float32, shape (n, n_params). Rows with NaN or infinity are left out and count
            towards n_byzantine.
        n_byzantine: how many may be arbitrary.
        m: how many to keep; all but n_byzantine if None.

    Returns:
        float32, shape (n_params,), in the units of the updates.

    Raises:
        ValueError: for another dtype or shape, unless 2 * n_byzantine < n, if no row is finite, or
            if fewer than m are.

    Source:
        Blanchard et al., 2017, arXiv:1703.02757, section 5. The same as MultiKrum in ByzFL 0.0.11,
        which has no m and takes any of the updates with equal scores; here the first.
    """
    rows = finite_rows(updates, n_byzantine)
    weights = selection.multi_krum_weights(centred_gram(rows), rows.n_byzantine, m)
    return rows.weighted_sum(weights)
