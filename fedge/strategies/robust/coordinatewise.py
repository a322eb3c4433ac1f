"""Rules that look at each parameter by itself.

Both give the same bits on every machine, in whatever order the updates are given: the values
of a parameter are added in float32 from the smallest to the largest, and NaN counts as larger
than infinity. So up to n_byzantine values of a parameter may be NaN or infinite without
harm; with more, the result is not finite there.

They need dense updates: most values of top-k payloads are zero, and so is their median.
"""

import numpy as np

from fedge import _kernels
from fedge.strategies.robust.check import check_updates
from fedge.types import Vector


def coordinate_median(updates: Vector, *, n_byzantine: int = 0) -> Vector:
    """The median of each parameter; of an even number of updates the mean of the middle two.

    Args:
        updates: float32, shape (n, n_params), n from 1 to 65536.
        n_byzantine: how many may be arbitrary. It changes nothing; all rules are called alike.

    Returns:
        float32, shape (n_params,), in the units of the updates.

    Raises:
        ValueError: for another dtype or shape, or unless 2 * n_byzantine < n.

    Source:
        Yin et al., 2018, arXiv:1803.01498, definition 1. The same as Median in ByzFL 0.0.11, except
        that there a single NaN gives NaN.
    """
    check_updates(updates, n_byzantine)
    n = len(updates)
    return _mean_of_ranks(updates, (n - 1) // 2, n // 2 + 1)


def trimmed_mean(updates: Vector, *, n_byzantine: int) -> Vector:
    """The mean of each parameter without its n_byzantine smallest and as many largest values.

    Args:
        updates: float32, shape (n, n_params), n from 1 to 65536.
        n_byzantine: how many may be arbitrary; with 0 this is the mean.

    Returns:
        float32, shape (n_params,), in the units of the updates.

    Raises:
        ValueError: for another dtype or shape, or unless 2 * n_byzantine < n.

    Source:
        Yin et al., 2018, arXiv:1803.01498, definition 2. The same as TrMean in ByzFL 0.0.11.
    """
    check_updates(updates, n_byzantine)
    return _mean_of_ranks(updates, n_byzantine, len(updates) - n_byzantine)


def _mean_of_ranks(updates: Vector, low: int, high: int) -> Vector:
    out = np.empty(updates.shape[1], np.float32)
    _kernels.robust_tile(updates, low, high, out)
    return out
