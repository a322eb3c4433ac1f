"""FoolsGold: devices that always push the same way count as one."""

import numpy as np

from fedge.strategies.robust.selection.products import Numbers

_LARGEST = 0.99  # a weight of 1 has no finite logit
_ROUNDING = 1e-6  # clones whose cosine is a little less than 1


def foolsgold_weights(gram_of_history: Numbers) -> Numbers:
    """Weights that are small for rows whose history is like that of another row.

    Args:
        gram_of_history: float64, shape (n, n): inner products, about the origin, of the sums of
            all that each device has sent so far.

    Returns:
        float64, shape (n,), adding up to 1; all 0 if all histories are the same, which leaves the
        model as it is.

    Source:
        Fung et al., 2020, arXiv:1808.04866, algorithm 1, over all parameters and with the
        confidence kappa = 1, as in its authors' code. The paper adds the weighted deltas up; here
        the weights are divided by their sum, so that the result has the size of one delta. ByzFL
        0.0.11 has no FoolsGold.
    """
    n = len(gram_of_history)
    if n == 1:
        return np.ones(1)
    norms = np.sqrt(np.diag(gram_of_history))
    lengths = norms[:, None] * norms[None, :]
    cosines = np.divide(gram_of_history, lengths, out=np.zeros((n, n)), where=lengths > 0)
    np.fill_diagonal(cosines, 0.0)  # so a row that is like no other has a likeness of 0
    distinct = np.clip(1 - np.max(_pardoned(cosines), axis=1), 0.0, 1.0)
    distinct[distinct < _ROUNDING] = 0.0
    if np.max(distinct) == 0:
        return np.zeros(n)
    shares = np.minimum(distinct / np.max(distinct), _LARGEST)
    with np.errstate(divide="ignore"):
        logits = np.clip(np.log(shares / (1 - shares)) + 0.5, 0.0, 1.0)
    weights: Numbers = logits / np.sum(logits)
    return weights


def _pardoned(cosines: Numbers) -> Numbers:
    """Makes a row less like those that are more like others than it is: it may be honest."""
    likeness = np.max(cosines, axis=1)
    mine, other = likeness[:, None], likeness[None, :]
    ratio = np.divide(mine, other, out=np.ones_like(cosines), where=mine < other)
    pardoned: Numbers = cosines * ratio
    return pardoned
