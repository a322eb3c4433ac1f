"""The mean of the values nearest to the median of each parameter: Meamed, and Bulyan's end."""

import numpy as np

from fedge import _kernels
from fedge.strategies.robust.gram import centred_gram
from fedge.strategies.robust.rows import finite_rows
from fedge.strategies.robust.selection import bulyan_choices
from fedge.types import Vector


def meamed(updates: Vector, *, n_byzantine: int) -> Vector:
    """For each parameter the mean of the n - n_byzantine values nearest to its median.

    Args:
        updates: float32, shape (n, n_params). Rows with NaN or infinity are left out and count
            towards n_byzantine.
        n_byzantine: how many may be arbitrary; with 0 this is the mean.

    Returns:
        float32, shape (n_params,), in the units of the updates.

    Raises:
        ValueError: for another dtype or shape, unless 2 * n_byzantine < n, or if no row is finite.

    Source:
        Xie et al., 2018, arXiv:1802.10116 (mean around median). The same as Meamed
        in ByzFL 0.0.11, except that there a NaN anywhere in a column gives NaN, and that of two
        values at the same distance from the median it takes either; here the smaller.
    """
    rows = finite_rows(updates, n_byzantine)
    kept = rows.updates if len(rows.places) == len(updates) else rows.updates[rows.places]
    return _nearest(kept, len(kept) - rows.n_byzantine)


def bulyan(updates: Vector, *, n_byzantine: int) -> Vector:
    """Krum chooses n - 2 * n_byzantine updates, one after another; then values near their median.

    Of the chosen, each parameter's n - 4 * n_byzantine values nearest to its median are averaged.

    Args:
        updates: float32, shape (n, n_params), n >= 4 * n_byzantine + 3. Rows with NaN or infinity
            are left out and count towards n_byzantine.
        n_byzantine: how many may be arbitrary.

    Returns:
        float32, shape (n_params,), in the units of the updates. The last choices are among few,
        two of which may be each other's nearest; then it is the first.

    Raises:
        ValueError: for another dtype or shape, for fewer updates, or if no row is finite.

    Source:
        El Mhamdi et al., 2018, arXiv:1802.07927, section 4. The same as `aggregate_bulyan` with
        `aggregate_krum` in Flower 1.41, where the updates count alike. ByzFL 0.0.11 has no Bulyan.
    """
    rows = finite_rows(updates, n_byzantine)
    chosen = rows.places[bulyan_choices(centred_gram(rows), rows.n_byzantine)]
    return _nearest(updates[chosen], len(chosen) - 2 * rows.n_byzantine)


def _nearest(updates: Vector, n_kept: int) -> Vector:
    out = np.empty(updates.shape[1], np.float32)
    _kernels.nearest_tile(updates, n_kept, out)
    return out
