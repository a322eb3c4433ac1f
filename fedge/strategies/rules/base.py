"""The interfaces of rules and of pre-aggregators."""

from typing import Protocol

from fedge.strategies.cohort import Cohort
from fedge.types import Vector


class Rule(Protocol):
    """Combines a cohort into one delta.

    Laws: a rule is a frozen dataclass whose fields are its parameters; its result depends on the
    cohort alone and has the same bits on every machine; it reads no files and no clock, uses no
    randomness, and remembers nothing.

    A rule that needs more than deltas says so in a class variable, `needs_reference` or
    `needs_history`, and one that cannot work with sparse updates says why in `not_for_sparse`;
    see `fedge.strategies.rules.needs`.
    """

    @property
    def streams(self) -> bool:
        """Whether it reads nothing but weighted sums: then memory is O(model).

        A rule that does not stream may also read columns. It loops over `Cohort.ranges` and keeps
        at most O(cohort^2) of each range, so memory is O(model + cohort x range), however many
        parameters there are.
        """
        ...

    @property
    def least(self) -> int:
        """The smallest cohort that it can combine; at least 1."""
        ...

    def combine(self, cohort: Cohort) -> Vector:
        """float32, shape (n_params,), in the units of the parameters; it may be written to.

        Raises:
            CohortError: if the cohort is smaller than `least`, or too large for the rule.
        """
        ...


class PreAggregator(Protocol):
    """Turns a cohort into another one before a rule sees it: it mixes, groups or leaves out.

    Laws: those of a rule. The new deltas read the old ones only when they are read themselves, so
    memory stays within what the rule after it needs.
    """

    @property
    def streams(self) -> bool:
        """Whether it prepares a cohort without reading columns.

        The new deltas can still be read in both ways, and a weighted sum of them reads only
        weighted sums of the old ones.
        """
        ...

    def least(self, n_left: int) -> int:
        """How many members it needs to leave `n_left` of them for the rule."""
        ...

    def prepare(self, cohort: Cohort) -> Cohort:
        """The cohort that the rule sees, its members in an order that does not depend on arrival.

        Raises:
            CohortError: if the cohort is smaller than `least(1)`.
        """
        ...
