"""Rules that leave out the deltas without which the others agree best."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from fedge.strategies.cohort import Cohort, gram_of
from fedge.strategies.robust import selection
from fedge.strategies.rules.hostile import MAJORITY, CohortError, require_hostile
from fedge.types import Array, Vector


@dataclass(frozen=True, slots=True)
class MinimumDiameter:
    """The mean of the n - f deltas with the least distance between the two furthest of them.

    Source: El Mhamdi et al., 2020, arXiv:1905.03853 (minimum-diameter averaging).
    """

    f: float
    streams: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require_hostile("rule mda", self.f)

    @property
    def least(self) -> int:
        return MAJORITY.least(self.f)

    def combine(self, cohort: Cohort) -> Vector:
        f, gram = MAJORITY.count(self.f, cohort), gram_of(cohort).centred
        weights = _searched(selection.minimum_diameter_weights, gram, f)
        return cohort.deltas.weighted_sum(weights)


@dataclass(frozen=True, slots=True)
class SmallestEigenvalue:
    """The mean of the n - f deltas whose covariance has the smallest largest eigenvalue.

    Source: Allouah et al., 2023, arXiv:2302.04787, section 5 (SMEA).
    """

    f: float
    streams: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require_hostile("rule smea", self.f)

    @property
    def least(self) -> int:
        return MAJORITY.least(self.f)

    def combine(self, cohort: Cohort) -> Vector:
        f, gram = MAJORITY.count(self.f, cohort), gram_of(cohort).centred
        weights = _searched(selection.smallest_eigenvalue_weights, gram, f)
        return cohort.deltas.weighted_sum(weights)


@dataclass(frozen=True, slots=True)
class CovarianceFilter:
    """A mean that counts a delta less, the further it lies out where the deltas differ most.

    Source: Allouah et al., 2025, arXiv:2505.01874, algorithm 2 (CAF).
    """

    f: float
    streams: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require_hostile("rule caf", self.f)

    @property
    def least(self) -> int:
        return MAJORITY.least(self.f)

    def combine(self, cohort: Cohort) -> Vector:
        f = MAJORITY.count(self.f, cohort)
        weights = selection.covariance_filter_weights(gram_of(cohort).centred, f)
        return cohort.deltas.weighted_sum(weights)


def _searched(search: Callable[[Array, int], Array], gram: Array, f: int) -> Array:
    """The weights that a search among subsets finds; it gives up where there are too many."""
    try:
        return search(gram, f)
    except ValueError as error:
        raise CohortError(str(error)) from error
