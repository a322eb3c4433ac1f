"""Krum, Multi-Krum and the first half of Bulyan: who is close to its nearest."""

import numpy as np

from fedge.strategies.robust.selection.check import check_gram
from fedge.strategies.robust.selection.distances import squared_distances
from fedge.strategies.robust.selection.products import Numbers


def krum_choice(gram: Numbers, f: int) -> int:
    """The row with the least sum of squared distances to its n - f - 1 nearest others.

    Args:
        gram: float64, shape (n, n), n > 2 * f, of centred rows.
        f: how many rows may be arbitrary.

    Returns:
        Its index; of several the smallest.

    Source:
        Blanchard et al., 2017, arXiv:1703.02757, section 4, which counts n - f - 2 nearest; ByzFL
        0.0.11 counts n - f - 1, and so does this.
    """
    check_gram(gram, f)
    return int(np.argmin(_scores(squared_distances(gram), len(gram) - f - 1)))


def multi_krum_weights(gram: Numbers, f: int, m: int | None = None) -> Numbers:
    """Equal weights for the m rows with the least Krum scores.

    Args:
        gram: float64, shape (n, n), n > 2 * f, of centred rows.
        f: how many rows may be arbitrary.
        m: how many rows to keep, 1 to n; n - f if None, as in ByzFL 0.0.11.

    Returns:
        float64, shape (n,): 1 / m or 0. Of rows with equal scores the first are kept.

    Source:
        Blanchard et al., 2017, arXiv:1703.02757, section 5, with the scores of `krum_choice`.
    """
    check_gram(gram, f)
    n = len(gram)
    kept = n - f if m is None else m
    if not 1 <= kept <= n:
        raise ValueError(f"m must be 1 to {n}, not {kept}")
    scores = _scores(squared_distances(gram), n - f - 1)
    weights = np.zeros(n)
    weights[np.argsort(scores, kind="stable")[:kept]] = 1 / kept
    return weights


def bulyan_choices(gram: Numbers, f: int) -> Numbers:
    """The n - 2 * f rows that Krum chooses one after another, each time among those left.

    Each time a row's score counts the nearest but f + 1 of the others that are left, but at least
    one: the paper's Krum, not that of `krum_choice`.

    Args:
        gram: float64, shape (n, n), n >= 4 * f + 3, of centred rows.
        f: how many rows may be arbitrary.

    Returns:
        int64, shape (n - 2 * f,): their indices, in rising order.

    Source:
        El Mhamdi et al., 2018, arXiv:1802.07927, section 4, step 1. The same as `aggregate_bulyan`
        of Flower 1.41 chooses; ByzFL 0.0.11 has no Bulyan.
    """
    check_gram(gram, f, least=4 * f + 3)
    distances, left = squared_distances(gram), np.arange(len(gram))
    chosen = []
    for _ in range(len(gram) - 2 * f):
        among = distances[left[:, None], left]
        place = int(np.argmin(_scores(among, max(1, left.size - f - 2))))
        chosen.append(left[place])
        left = np.delete(left, place)
    return np.sort(np.array(chosen, np.int64))


def _scores(distances: Numbers, n_near: int) -> Numbers:
    """The sum of each row's n_near least distances but its own, which is 0 and the first."""
    # Down the columns, so that the sum runs from the nearest on whatever the machine.
    nearest = np.sort(distances, axis=0)[1 : n_near + 1]
    scores: Numbers = np.add.reduce(nearest, axis=0)
    return scores
