"""A vector that corrects a device's steps, kept on the device."""

from typing import ClassVar, Protocol

from fedge.strategies.algorithms.values import LocalPlan, Occasion, Sent, Vectors
from fedge.strategies.cohort import Cohort
from fedge.types import Vector


class Control(Protocol):
    """How the vectors of both ends come about, and what they do.

    Laws: no method writes to its arguments; arithmetic on vectors is float32, so that both ends
    compute the same bits from the same bytes. The aggregator's vector is the sum of the devices'
    own, each times its number of examples: it changes by what the cohort's own change by, and each
    of these follows from what the device sent. So a device that misses rounds does no harm.

    Attributes:
        memory_name: of the aggregator's vector in `State.memory`.
        is_sent: whether devices need it; they get it divided by the fleet's examples. In the first
            round it is missing, which means zeros.
    """

    memory_name: ClassVar[str]
    is_sent: ClassVar[bool]

    def correction(self, server: Vectors, own: Vector | None) -> Vector | None:
        """What a device adds to every gradient; None is nothing, and an `own` of None zeros."""
        ...

    def after(self, plan: LocalPlan, server: Vectors, own: Vector, sent: Sent) -> Vector:
        """The device's own vector after a round."""
        ...

    def sums(self, sums: Vector, cohort: Cohort, occasion: Occasion) -> Vector:
        """The aggregator's vector after a round.

        Members without a number of steps have no vector of their own: they are devices that do not
        know the algorithm.
        """
        ...

    def shift(self, sums: Vector, occasion: Occasion) -> Vector | None:
        """What is added to the model after the strategy's step; None is nothing."""
        ...
