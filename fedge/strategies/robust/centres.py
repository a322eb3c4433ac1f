"""Points that most updates are close to: the geometric median, and centred clipping."""

import numpy as np

from fedge.strategies.robust import selection
from fedge.strategies.robust.gram import centred_gram, gram_about
from fedge.strategies.robust.rows import finite_rows
from fedge.types import Vector


def geometric_median(updates: Vector, *, n_byzantine: int = 0) -> Vector:
    """The point with the least sum of distances to all updates, to convergence.

    It is a weighted mean of the updates, and the weights are found from their inner products, so
    a million parameters cost no more steps than ten.

    Args:
        updates: float32, shape (n, n_params). Rows with NaN or infinity are left out.
        n_byzantine: how many may be arbitrary. It changes nothing; all rules are called alike.

    Returns:
        float32, shape (n_params,), in the units of the updates.

    Raises:
        ValueError: for another dtype or shape, unless 2 * n_byzantine < n, or if no row is finite.

    Source:
        Pillutla et al., 2019, arXiv:1912.13445, algorithm 2 (RFA). GeometricMedian in ByzFL 0.0.11
        with as many steps as it takes and a nu below the distances that matter; as it comes it
        takes 3 steps from the origin, with nu = 0.1, and is not there yet. It leaves out infinite
        rows too, and a NaN is its result.
    """
    rows = finite_rows(updates, n_byzantine)
    return rows.weighted_sum(selection.geometric_median_weights(centred_gram(rows)))


def centered_clipping(
    updates: Vector,
    *,
    tau: float,
    n_byzantine: int = 0,
    iterations: int = 1,
    start: Vector | None = None,
) -> Vector:
    """A point moved by the mean of the updates' differences from it, each no longer than tau.

    Args:
        updates: float32, shape (n, n_params). Rows with NaN or infinity are left out.
        tau: the longest difference that counts in full, in the units of the updates.
        n_byzantine: how many may be arbitrary. It changes nothing; all rules are called alike.
        iterations: how many times the point moves.
        start: float32, shape (n_params,): where it is at first, such as the last result; the
            origin if None.

    Returns:
        float32, shape (n_params,), in the units of the updates.

    Raises:
        ValueError: for another dtype or shape, unless 2 * n_byzantine < n, if no row is finite, or
            if tau or iterations is negative.

    Source:
        Karimireddy et al., 2021, arXiv:2012.10333, algorithm 2. The same as CenteredClipping in
        ByzFL 0.0.11 with L = iterations, which keeps its last result to start from and has
        tau = 100 if none is given; here the caller keeps it.
    """
    rows = finite_rows(updates, n_byzantine)
    if start is not None and start.shape != updates.shape[1:]:
        raise ValueError(f"start must be of shape {updates.shape[1:]}, not {start.shape}")
    weights = selection.centered_clipping_weights(gram_about(rows, start), tau, iterations)
    moved = rows.weighted_sum(weights)
    if start is not None:
        moved += np.float32(1 - np.sum(weights)) * start.astype(np.float32)
    return moved
