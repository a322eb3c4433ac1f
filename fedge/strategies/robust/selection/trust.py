"""FLTrust: rows count as far as they point where the aggregator's own data do."""

import numpy as np

from fedge.strategies.robust.selection.products import Numbers


def fltrust_weights(dots: Numbers, norms: Numbers, reference_norm: float) -> Numbers:
    """Weights of the mean of rows made as long as the reference and weighted by their trust.

    A row's trust is the cosine of its angle with the reference, or 0 if that is negative.

    Args:
        dots: float64, shape (n,): inner products of the rows with the reference.
        norms: float64, shape (n,): lengths of the rows.
        reference_norm: length of the reference.

    Returns:
        float64, shape (n,), what to multiply each row by before adding them; all 0 if no row is
        trusted, which leaves the model as it is.

    Source:
        Cao et al., 2021, arXiv:2012.13995, algorithm 2. ByzFL 0.0.11 has no FLTrust.
    """
    lengths = norms * reference_norm
    trust = np.divide(dots, lengths, out=np.zeros(len(dots)), where=lengths > 0)
    trust = np.clip(trust, 0.0, 1.0)
    total = float(np.sum(trust))
    if total == 0:
        return np.zeros(len(dots))
    scale = np.divide(reference_norm, norms, out=np.zeros(len(dots)), where=norms > 0)
    return trust * scale / total
