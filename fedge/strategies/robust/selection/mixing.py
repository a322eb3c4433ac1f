"""Nearest-neighbour mixing: each row becomes a mean."""

import numpy as np

from fedge.strategies.robust.selection.check import check_gram
from fedge.strategies.robust.selection.distances import squared_distances
from fedge.strategies.robust.selection.products import Numbers


def nearest_neighbor_mixture(gram: Numbers, f: int) -> Numbers:
    """The matrix that replaces each row by the mean of its n - f nearest, itself among them.

    Args:
        gram: float64, shape (n, n), n > 2 * f, of centred rows.
        f: how many rows may be arbitrary.

    Returns:
        float64, shape (n, n): row i holds the weights of the rows that become row i, 1 / (n - f)
        or 0. Of rows at the same distance the first are taken.

    Source:
        Allouah et al., 2023, arXiv:2302.01772, algorithm 2. The same as NNM in ByzFL 0.0.11, which
        leaves open which of equally distant rows it takes.
    """
    check_gram(gram, f)
    n_near = len(gram) - f
    nearest = np.argsort(squared_distances(gram), axis=1, kind="stable")[:, :n_near]
    mixture = np.zeros(gram.shape)
    np.put_along_axis(mixture, nearest, 1 / n_near, axis=1)
    return mixture
