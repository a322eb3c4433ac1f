"""From inner products to distances."""

import numpy as np

from fedge.strategies.robust.selection.products import Numbers


def squared_distances(gram: Numbers) -> Numbers:
    """Squared distances between all rows: |a|^2 + |b|^2 - 2 ab.

    Rounding never makes one negative; a row's distance to itself is exactly 0, and both triangles
    are the same. Centre the rows before the Gram matrix: what they have in common cancels here,
    and takes digits with it.

    Args:
        gram: float64, shape (n, n), inner products of the rows.

    Returns:
        float64, shape (n, n).
    """
    squares = np.diag(gram)
    distances = np.maximum(squares[:, None] + squares[None, :] - (gram + gram.T), 0.0)
    np.fill_diagonal(distances, 0.0)
    return distances
