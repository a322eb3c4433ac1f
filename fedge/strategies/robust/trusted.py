"""Rules that know more than the updates: FLTrust has data of its own, FoolsGold remembers."""

import numpy as np

from fedge.strategies.robust import selection
from fedge.strategies.robust.gram import gram_about
from fedge.strategies.robust.rows import finite_rows
from fedge.types import Vector


def fltrust(updates: Vector, *, reference: Vector, n_byzantine: int = 0) -> Vector:
    """The mean of updates made as long as the reference, weighted by how far they agree with it.

    An update's weight is the cosine of its angle with the reference, or 0 if that is negative.

    Args:
        updates: float32, shape (n, n_params). Rows with NaN or infinity are left out.
        reference: float32, shape (n_params,): what training on trusted data gave.
        n_byzantine: how many may be arbitrary. It changes nothing; all rules are called alike.

    Returns:
        float32, shape (n_params,), in the units of the reference; zeros if no update is trusted.

    Raises:
        ValueError: for another dtype or shape, unless 2 * n_byzantine < n, if no row is finite, or
            if the reference is not.

    Source:
        Cao et al., 2021, arXiv:2012.13995, algorithm 2. ByzFL 0.0.11 has no FLTrust.
    """
    finite_rows(updates, n_byzantine)  # refuses what is not a cohort
    if reference.shape != updates.shape[1:] or reference.dtype != np.float32:
        raise ValueError(
            f"reference must be float32 of shape {updates.shape[1:]}, "
            f"not {reference.dtype} of shape {reference.shape}"
        )
    if not np.all(np.isfinite(reference)):
        raise ValueError("the reference must be finite")
    rows = finite_rows(np.concatenate([updates, reference[None]]), 0)
    gram = gram_about(rows)
    norms = np.sqrt(np.diag(gram))
    weights = selection.fltrust_weights(gram[-1, :-1], norms[:-1], float(norms[-1]))
    return rows.weighted_sum(np.append(weights, 0.0))


def foolsgold(updates: Vector, *, history: Vector, n_byzantine: int = 0) -> Vector:
    """The mean of the updates, those with a history like another's counting little.

    Args:
        updates: float32, shape (n, n_params). Rows with NaN or infinity are left out.
        history: float32, shape (n, n_params): for each update the sum of all that its device has
            sent so far, this one included; finite where the update is.
        n_byzantine: how many may be arbitrary. It changes nothing; all rules are called alike.

    Returns:
        float32, shape (n_params,), in the units of the updates; zeros if all histories are alike.

    Raises:
        ValueError: for another dtype or shape, unless 2 * n_byzantine < n, or if no row is finite.

    Source:
        Fung et al., 2020, arXiv:1808.04866, algorithm 1, over all parameters, with the confidence
        kappa = 1. The paper adds the weighted updates; here it is their mean. ByzFL 0.0.11 has no
        FoolsGold.
    """
    rows = finite_rows(updates, n_byzantine)
    if history.shape != updates.shape:
        raise ValueError(f"history must be of shape {updates.shape}, not {history.shape}")
    past = finite_rows(history[rows.places], 0)
    if len(past.places) < len(rows.places):
        raise ValueError("the history of a finite update must be finite")
    return rows.weighted_sum(selection.foolsgold_weights(gram_about(past)))
