"""Minimum-diameter averaging: the n - f rows whose farthest pair is closest."""

from collections.abc import Iterator, Sequence

import numpy as np

from fedge.strategies.robust.selection.check import check_gram
from fedge.strategies.robust.selection.distances import squared_distances
from fedge.strategies.robust.selection.products import Numbers

MOST_STEPS = 100_000  # of one search: some seconds


def minimum_diameter_weights(gram: Numbers, f: int) -> Numbers:
    """Equal weights for the n - f rows whose largest distance is smallest, exactly.

    A diameter forbids some pairs of rows, and it can be had if taking away f rows breaks every
    such pair: a vertex cover, found by branching on the row with the most forbidden pairs. The
    smallest diameter is found by bisection.

    Args:
        gram: float64, shape (n, n), n > 2 * f, of centred rows.
        f: how many rows may be arbitrary.

    Returns:
        float64, shape (n,): 1 / (n - f) or 0. Of subsets with the same diameter, the one whose
        indices come first.

    Raises:
        ValueError: also if the search would take more than MOST_STEPS steps. With f up to 20 that
            cannot happen.

    Source:
        El Mhamdi et al., 2018, arXiv:1802.07927, appendix (Brute); Rousseeuw, 1985. The same as
        MDA in ByzFL 0.0.11, which tries all subsets.
    """
    check_gram(gram, f)
    n, distances = len(gram), squared_distances(gram)
    diameters = np.unique(distances)
    low, high = 0, diameters.size - 1
    while low < high:
        middle = (low + high) // 2
        if _Search(_farther(distances, diameters[middle])).is_enough((1 << n) - 1, f):
            high = middle
        else:
            low = middle + 1
    weights = np.zeros(n)
    weights[_first_subset(_farther(distances, diameters[low]), f)] = 1 / (n - f)
    return weights


def _farther(distances: Numbers, diameter: float) -> list[int]:
    """For each row the set, as bits, of those farther away than this."""
    far = distances > diameter
    return [sum(1 << int(other) for other in np.flatnonzero(row)) for row in far]


def _first_subset(forbidden: Sequence[int], f: int) -> list[int]:
    """The n - f rows without a forbidden pair that come first."""
    n = len(forbidden)
    left, n_spare, chosen = (1 << n) - 1, f, list[int]()
    for row in range(n):
        if not left >> row & 1 or len(chosen) == n - f:
            continue
        partners = forbidden[row] & left
        n_after = n_spare - partners.bit_count()
        if n_after >= 0 and _Search(forbidden).is_enough(left & ~partners, n_after):
            chosen.append(row)
            left, n_spare = left & ~partners, n_after
        else:
            left, n_spare = left & ~(1 << row), n_spare - 1
    return chosen


class _Search:
    """One search for a vertex cover, which counts its steps."""

    def __init__(self, forbidden: Sequence[int]) -> None:
        self._forbidden = forbidden
        self._n_steps = 0

    def is_enough(self, left: int, n_spare: int) -> bool:
        """Whether taking away n_spare of the rows that are left can break every forbidden pair."""
        self._n_steps += 1
        if self._n_steps > MOST_STEPS:
            raise ValueError(
                "minimum-diameter averaging found too many subsets to try: "
                f"expected at most {MOST_STEPS} steps; use fewer Byzantine updates or another rule"
            )
        n_pairs, most, worst = 0, 0, 0
        for row in _rows_of(left):
            n_partners = (self._forbidden[row] & left).bit_count()
            n_pairs += n_partners
            if n_partners > most:
                most, worst = n_partners, row
        if most <= 1:  # pairs that share no row: one row goes of each
            return n_pairs // 2 <= n_spare
        if n_pairs // 2 > n_spare * most:
            return False
        partners = self._forbidden[worst] & left
        return self.is_enough(left & ~(1 << worst), n_spare - 1) or (
            most <= n_spare and self.is_enough(left & ~partners, n_spare - most)
        )


def _rows_of(left: int) -> Iterator[int]:
    while left:
        lowest = left & -left
        yield lowest.bit_length() - 1
        left ^= lowest
