"""Pre-aggregators that make long updates shorter."""

import numpy as np

from fedge.strategies.robust import selection
from fedge.strategies.robust.rows import Rows, finite_rows
from fedge.strategies.robust.selection.products import Numbers
from fedge.types import Vector


def clipping(updates: Vector, *, c: float, n_byzantine: int = 0) -> Vector:
    """The updates, those that are longer than c made that long.

    Args:
        updates: float32, shape (n, n_params). Rows with NaN or infinity are left out.
        c: the greatest length, in the units of the updates.
        n_byzantine: how many may be arbitrary. It changes nothing; all rules are called alike.

    Returns:
        float32, shape (n, n_params), less the rows left out.

    Raises:
        ValueError: for another dtype or shape, unless 2 * n_byzantine < n, if no row is finite, or
            if c is negative.

    Source:
        The same as Clipping in ByzFL 0.0.11, which writes into the updates it is given.
    """
    rows = finite_rows(updates, n_byzantine)
    return _scaled(rows, selection.clip_shares(rows.norms, c))


def adaptive_robust_clipping(updates: Vector, *, n_byzantine: int) -> Vector:
    """The updates, the longest floor(2 * f * (n - f) / n) made as long as the next one (ARC).

    Args:
        updates: float32, shape (n, n_params). Rows with NaN or infinity are left out and count
            towards n_byzantine.
        n_byzantine: f, how many may be arbitrary.

    Returns:
        float32, shape (n, n_params), less the rows left out.

    Raises:
        ValueError: for another dtype or shape, unless 2 * n_byzantine < n, or if no row is finite.

    Source:
        Allouah et al., 2025, arXiv:2405.14432. The same as ARC in ByzFL 0.0.11, which writes into
        the updates it is given, allows f up to n, and computes 2 * f / n * (n - f) in floating
        point: for n = 242 and f = 33 and a few larger cohorts it so clips one update fewer.
    """
    rows = finite_rows(updates, n_byzantine)
    return _scaled(rows, selection.arc_shares(rows.norms, rows.n_byzantine))


def _scaled(rows: Rows, shares: Numbers) -> Vector:
    """In float64, where the share of a very long row is not zero."""
    scaled = np.array(rows.updates[rows.places])
    for place in np.flatnonzero(shares < 1):
        scaled[place] = scaled[place] * shares[place]
    return scaled
