"""SMEA: the n - f rows that differ least along any direction."""

import itertools
import math

import numpy as np

from fedge.strategies.robust.selection.check import check_gram
from fedge.strategies.robust.selection.dominant import dominant
from fedge.strategies.robust.selection.products import Numbers

MOST_SUBSETS = 2**14
_BATCH_BYTES = 2**24  # of the products in one squaring


def smallest_eigenvalue_weights(gram: Numbers, f: int) -> Numbers:
    """Equal weights for the n - f rows whose covariance has the least largest eigenvalue.

    Args:
        gram: float64, shape (n, n), n > 2 * f, of centred rows.
        f: how many rows may be arbitrary.

    Returns:
        float64, shape (n,): 1 / (n - f) or 0. Of subsets with equal eigenvalues, the one whose
        indices come first.

    Raises:
        ValueError: also if there are more than MOST_SUBSETS subsets; all are tried.

    Source:
        Allouah et al., 2023, arXiv:2302.04787 (SMEA). SMEA in ByzFL 0.0.11 takes a
        random vector after one step of a power iteration for the eigenvector, so its result may
        change from call to call; here the eigenvalues are exact.
    """
    check_gram(gram, f)
    n, kept = len(gram), len(gram) - f
    n_subsets = math.comb(n, f)
    if n_subsets > MOST_SUBSETS:
        raise ValueError(
            f"SMEA tries every subset of {kept} of {n} updates: "
            f"expected at most {MOST_SUBSETS} subsets, found {n_subsets}"
        )
    subsets = itertools.combinations(range(n), kept)
    best, least = np.arange(kept), np.inf
    while batch := list(itertools.islice(subsets, max(1, _BATCH_BYTES // (8 * kept**3)))):
        places = np.array(batch, np.int64).reshape(-1, kept)
        values = dominant(_centred(gram[places[:, :, None], places[:, None, :]]))[0]
        first = int(np.argmin(values))
        if values[first] < least:
            best, least = places[first], float(values[first])
    weights = np.zeros(n)
    weights[best] = 1 / kept
    return weights


def _centred(grams: Numbers) -> Numbers:
    """Inner products of the rows of each subset less the subset's mean."""
    kept = grams.shape[-1]
    sums = np.add.reduce(grams, axis=-2) / kept
    total = np.sum(sums, axis=-1)[..., None, None] / kept
    centred: Numbers = grams - sums[..., :, None] - sums[..., None, :] + total
    return centred
