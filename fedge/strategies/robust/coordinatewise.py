"""Rules that look at each parameter by itself.

Both give the same bits in whatever order the updates stand, and on every machine: the values
of a parameter are added in float32 from the smallest to the largest, and NaN counts as larger
than infinity. So up to n_byzantine values of a parameter may be NaN or infinite without
harm; with more, the result is not finite there.

They need dense updates: of top-k payloads most values are zero, and so is the median.
"""

import numpy as np

from fedge import _kernels
from fedge.strategies.robust.check import check_updates
from fedge.types import Vector


def coordinate_median(updates: Vector, *, n_byzantine: int = 0) -> Vector:
    """The median of each parameter; of an even number of updates the mean of the middle two.

    Args:
        updates: float32, shape (n, n_params), n from 1 to 65536.
        n_byzantine: how many may be arbitrary. Changes nothing; there to call all rules alike.

    Returns:
        float32, shape (n_params,), in the units of the updates.

    Raises:
        ValueError: for another dtype or shape, or unless 2 * n_byzantine < n.

    Source:
        Yin et al., 2018, arXiv:1803.01498, definition 1. As ByzFL 0.0.11's Median, which one NaN
        turns to NaN.
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
        Yin et al., 2018, arXiv:1803.01498, definition 2. As ByzFL 0.0.11's TrMean.
    """
    check_updates(updates, n_byzantine)
    return _mean_of_ranks(updates, n_byzantine, len(updates) - n_byzantine)


def _mean_of_ranks(updates: Vector, low: int, high: int) -> Vector:
    out = np.empty(updates.shape[1], np.float32)
    _kernels.robust_tile(updates, low, high, out)
    return out
