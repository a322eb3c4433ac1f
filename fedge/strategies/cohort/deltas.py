"""The two ways to read a cohort's deltas."""

from collections.abc import Sequence
from typing import Protocol

from fedge.types import Vector

Weights = Sequence[float] | Vector  # plain numbers become float64


class Deltas(Protocol):
    """The deltas of a cohort, in the order of its members, wherever they are kept.

    Laws: a rule may call these as often as it likes, and each call reads the deltas again; the same
    call gives the same bits on every machine; the caller owns the result and may write to it.
    """

    @property
    def n_params(self) -> int:
        """The size of each delta."""
        ...

    def weighted_sum(self, weights: Weights) -> Vector:
        """Each delta times its weight, added up in the order of the members.

        Only the sum and one delta are in memory at a time. Processes that hold some of the deltas
        each can compute a part of the sum, so this also works across processes.

        Args:
            weights: one per member, finite; each is rounded to float32 once, when it is used. A
                delta whose weight is then 0 is not read, so it adds nothing, not even a NaN.

        Returns:
            float32, shape (n_params,); zeros if there is nothing to add.
        """
        ...

    def columns(self, start: int, stop: int, *, absent: float = 0.0) -> Vector:
        """Parameters start to stop of every delta.

        Args:
            start: the first parameter.
            stop: after the last one.
            absent: what stands for a parameter that a device did not send, as a sparse payload has
                them: 0, or NaN for rules to which that is no vote for zero. Deltas that have all
                their parameters never hold it.

        Returns:
            float32, shape (n_members, stop - start).
        """
        ...
