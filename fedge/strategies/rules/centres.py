"""Rules that look for a point in the middle of all deltas."""

from dataclasses import dataclass
from typing import ClassVar

from fedge.strategies.cohort import Cohort, gram_of
from fedge.strategies.limits import require_range
from fedge.strategies.robust import selection
from fedge.strategies.rules.hostile import check_size
from fedge.types import Vector


@dataclass(frozen=True, slots=True)
class GeometricMedian:
    """The point with the least sum of distances to all deltas, each of which counts the same.

    Source: Pillutla et al., 2022, arXiv:1912.13445, to convergence.
    """

    streams: ClassVar[bool] = False
    least: ClassVar[int] = 1

    def combine(self, cohort: Cohort) -> Vector:
        check_size(cohort, self.least)
        weights = selection.geometric_median_weights(gram_of(cohort).centred)
        return cohort.deltas.weighted_sum(weights)


@dataclass(frozen=True, slots=True)
class CenteredClipping:
    """Moves a centre, `iterations` times, by the mean of all differences to it, shortened to tau.

    The centre starts from 0 in every round: a rule remembers nothing.

    Source: Karimireddy et al., 2021, arXiv:2012.10333, algorithm 2.
    """

    tau: float = 1.0  # in the units of the parameters
    iterations: int = 3
    streams: ClassVar[bool] = False
    least: ClassVar[int] = 1

    def __post_init__(self) -> None:
        require_range("rule centered_clipping", "tau", self.tau, low=1e-9, high=1e9)
        require_range("rule centered_clipping", "iterations", self.iterations, low=1, high=100)

    def combine(self, cohort: Cohort) -> Vector:
        check_size(cohort, self.least)
        gram = gram_of(cohort).uncentred
        weights = selection.centered_clipping_weights(gram, self.tau, self.iterations)
        return cohort.deltas.weighted_sum(weights)
