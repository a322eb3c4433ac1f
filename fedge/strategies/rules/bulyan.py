"""Krum, again and again, and then each parameter by itself."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fedge.strategies.cohort import Cohort, gram_of
from fedge.strategies.cohort import tiles as _kernels
from fedge.strategies.robust import selection
from fedge.strategies.rules.hostile import Needs, require_hostile
from fedge.types import Vector

_NEEDS = Needs(each=4, more=3)


@dataclass(frozen=True, slots=True)
class Bulyan:
    """Of the n - 2f deltas that Krum picks one after another, the middle of each parameter.

    The middle is the mean of the values nearest to their median, all but 2f of them. As in the
    other rules that look at each parameter by itself, only those who sent it have a vote.

    Source: El Mhamdi et al., 2018, arXiv:1802.07927, section 4.
    """

    f: float
    streams: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require_hostile("rule bulyan", self.f)

    @property
    def least(self) -> int:
        return _NEEDS.least(self.f)

    def combine(self, cohort: Cohort) -> Vector:
        f = _NEEDS.count(self.f, cohort)
        chosen = np.sort(selection.bulyan_choices(gram_of(cohort).centred, f))
        out = np.empty(cohort.deltas.n_params, np.float32)
        for start, stop in cohort.ranges():
            rows = cohort.deltas.columns(start, stop, absent=np.nan)[chosen]
            _kernels.near_median(rows, 2 * f, out[start:stop])
        return out
