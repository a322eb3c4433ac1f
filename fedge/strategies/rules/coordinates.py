"""Rules that look at each parameter by itself, and at the devices that have sent it.

A device that did not send a parameter has no vote on it: most values of a sparse payload are not
there, and to take them for zeros would make every median zero. What those who sent it agree on
counts by their share of the cohort, as in a mean. Where all send everything, that is the rule of
the paper.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fedge.strategies.cohort import Cohort
from fedge.strategies.cohort import tiles as _kernels
from fedge.strategies.rules.hostile import MAJORITY, check_size, require_hostile
from fedge.types import Vector


@dataclass(frozen=True, slots=True)
class Median:
    """The median of each parameter; of an even number of values the mean of the middle two.

    Source: Yin et al., 2018, arXiv:1803.01498, definition 1.
    """

    streams: ClassVar[bool] = False
    least: ClassVar[int] = 1

    def combine(self, cohort: Cohort) -> Vector:
        check_size(cohort, self.least)
        return _trimmed(cohort, len(cohort.members))


@dataclass(frozen=True, slots=True)
class TrimmedMean:
    """The mean of each parameter without its f smallest and its f largest values.

    Of a parameter that only 2 f devices or fewer have sent, one or two values in the middle are
    left.

    Source: Yin et al., 2018, arXiv:1803.01498, definition 2.
    """

    f: float
    streams: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require_hostile("rule trimmed_mean", self.f)

    @property
    def least(self) -> int:
        return MAJORITY.least(self.f)

    def combine(self, cohort: Cohort) -> Vector:
        return _trimmed(cohort, MAJORITY.count(self.f, cohort))


@dataclass(frozen=True, slots=True)
class Meamed:
    """The mean of the values of each parameter that are nearest to their median, all but f.

    Source: Xie et al., 2018, arXiv:1802.10116, definition 9 (mean around median).
    """

    f: float
    streams: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require_hostile("rule meamed", self.f)

    @property
    def least(self) -> int:
        return MAJORITY.least(self.f)

    def combine(self, cohort: Cohort) -> Vector:
        f = MAJORITY.count(self.f, cohort)
        out = np.empty(cohort.deltas.n_params, np.float32)
        for start, stop in cohort.ranges():
            rows = cohort.deltas.columns(start, stop, absent=np.nan)
            _kernels.near_median(rows, f, out[start:stop])
        return out


def _trimmed(cohort: Cohort, f: int) -> Vector:
    out = np.empty(cohort.deltas.n_params, np.float32)
    for start, stop in cohort.ranges():
        rows = cohort.deltas.columns(start, stop, absent=np.nan)
        _kernels.trimmed(rows, f, out[start:stop])
    return out
