"""The two ways to read a cohort's deltas."""

from collections.abc import Sequence
from typing import Protocol

from fedge.types import Vector

Weights = Sequence[float] | Vector  # numbers are taken as float64


class Deltas(Protocol):
    """The deltas of a cohort, in the order of its members, wherever they are kept.

    Laws: each call reads anew, so a rule may call as often as it likes; the same call gives the
    same bits on every machine; a result belongs to the caller, who may write to it.
    """

    @property
    def n_params(self) -> int:
        """The size of each delta."""
        ...

    def weighted_sum(self, weights: Weights) -> Vector:
        """Each delta times its weight, added up in the order of the members.

        One delta and the sum are in memory at a time. Whoever has some of the deltas can give
        their part of the sum, so this also works across processes.

        Args:
            weights: one a member, finite; each is rounded to float32 once, when it is used. A
                delta whose weight is then 0 is not read: whatever it holds adds nothing.

        Returns:
            float32, shape (n_params,); zeros if there is nothing to add.
        """
        ...

    def columns(self, start: int, stop: int) -> Vector:
        """Parameters start to stop of every delta: float32, shape (n_members, stop - start)."""
        ...
