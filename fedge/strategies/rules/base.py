"""What a rule is, and what may come before one."""

from typing import Protocol

from fedge.strategies.cohort import Cohort
from fedge.types import Vector


class Rule(Protocol):
    """Makes one delta of a cohort.

    Laws: a rule is a frozen dataclass whose fields are its parameters; what it gives depends on
    the cohort alone and has the same bits on every machine; it reads no files and no clock, draws
    nothing, and remembers nothing.
    """

    @property
    def streams(self) -> bool:
        """Whether weighted sums are all that it reads: then memory is O(model).

        A rule that does not stream may read columns too. It goes by `Cohort.ranges`, and keeps of
        a range no more than fits into O(cohort^2): so memory is O(model + cohort x range), however
        many parameters there are.
        """
        ...

    @property
    def least(self) -> int:
        """The smallest cohort that it can make a delta of; at least 1."""
        ...

    def combine(self, cohort: Cohort) -> Vector:
        """float32, shape (n_params,), in the units of the parameters; it may be written to.

        Raises:
            ValueError: if the cohort is smaller than `least`.
        """
        ...


class PreAggregator(Protocol):
    """Makes a cohort of a cohort before a rule sees it: it mixes, groups or leaves out.

    Laws: as of a rule. The new deltas read the old ones when they are read themselves, so that
    memory stays within what the rule after it needs.
    """

    @property
    def streams(self) -> bool:
        """Whether it makes its cohort without reading columns.

        Its new deltas can be read in both ways all the same, and a weighted sum of them reads
        weighted sums of the old ones alone.
        """
        ...

    def least(self, n_left: int) -> int:
        """How many members it needs so that so many are left for the rule."""
        ...

    def prepare(self, cohort: Cohort) -> Cohort:
        """The cohort that the rule sees, its members in an order that does not depend on arrival.

        Raises:
            ValueError: if the cohort is smaller than `least(1)`.
        """
        ...
