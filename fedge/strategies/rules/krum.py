"""Rules that trust the deltas with the nearest neighbours."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fedge.strategies.cohort import Cohort, gram_of
from fedge.strategies.robust import selection
from fedge.strategies.rules.hostile import Needs, require_hostile
from fedge.types import Vector

_NEEDS = Needs(each=2, more=3)


@dataclass(frozen=True, slots=True)
class Krum:
    """The one delta whose nearest n - f - 1 others are nearest, in squared distances.

    Blanchard et al. take one neighbour fewer; so many take ByzFL and Flower.

    Source: Blanchard et al., 2017, arXiv:1703.02757.
    """

    f: float
    streams: ClassVar[bool] = False
    not_for_sparse: ClassVar[str] = (
        "krum keeps one update, and of sparse updates the shortest, which have little in common; "
        "a device that sends almost nothing would stop the training"
    )

    def __post_init__(self) -> None:
        require_hostile("rule krum", self.f)

    @property
    def least(self) -> int:
        return _NEEDS.least(self.f)

    def combine(self, cohort: Cohort) -> Vector:
        f = _NEEDS.count(self.f, cohort)
        weights = np.zeros(len(cohort.members))
        weights[selection.krum_choice(gram_of(cohort).centred, f)] = 1.0
        return cohort.deltas.weighted_sum(weights)


@dataclass(frozen=True, slots=True)
class MultiKrum:
    """The mean of the n - f deltas that Krum likes best.

    Source: Blanchard et al., 2017, arXiv:1703.02757.
    """

    f: float
    streams: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require_hostile("rule multi_krum", self.f)

    @property
    def least(self) -> int:
        return _NEEDS.least(self.f)

    def combine(self, cohort: Cohort) -> Vector:
        f = _NEEDS.count(self.f, cohort)
        weights = selection.multi_krum_weights(gram_of(cohort).centred, f)
        return cohort.deltas.weighted_sum(weights)
