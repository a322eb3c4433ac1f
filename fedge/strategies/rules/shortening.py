"""Pre-aggregators that shorten long deltas."""

from dataclasses import dataclass
from typing import ClassVar

from fedge.strategies.cohort import Cohort, norms_of, scale
from fedge.strategies.limits import require_range
from fedge.strategies.robust import selection
from fedge.strategies.rules.hostile import MAJORITY, check_size, require_hostile


@dataclass(frozen=True, slots=True)
class Clip:
    """Shortens every delta longer than c to that length.

    Source: Sun et al., 2019, arXiv:1911.07963 (norm thresholding).
    """

    c: float
    streams: ClassVar[bool] = False  # it reads rows where norms have not been measured

    def __post_init__(self) -> None:
        require_range("pre-aggregator clip", "c", self.c, low=1e-9, high=1e9)

    def least(self, n_left: int) -> int:
        return n_left

    def prepare(self, cohort: Cohort) -> Cohort:
        check_size(cohort, 1)
        return scale(cohort, selection.clip_shares(norms_of(cohort), self.c).tolist())


@dataclass(frozen=True, slots=True)
class AdaptiveClip:
    """Shortens the longest 2 f (n - f) / n deltas, rounded down, to the next one's length.

    Source: Allouah et al., 2024, arXiv:2405.14432, algorithm 2 (adaptive robust clipping).
    """

    f: float
    streams: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require_hostile("pre-aggregator arc", self.f)

    def least(self, n_left: int) -> int:
        return max(n_left, MAJORITY.least(self.f))

    def prepare(self, cohort: Cohort) -> Cohort:
        f = MAJORITY.count(self.f, cohort)
        return scale(cohort, selection.arc_shares(norms_of(cohort), f).tolist())
