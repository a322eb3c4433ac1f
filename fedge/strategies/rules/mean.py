"""The mean of a cohort's deltas."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fedge.strategies.cohort import Cohort
from fedge.strategies.rules.hostile import check_size
from fedge.types import Vector


@dataclass(frozen=True, slots=True)
class Mean:
    """The mean weighted by number of examples.

    A weight is a share of the examples, computed in float64 and rounded once to float32; the
    sum runs in float32 in device order.

    Source: McMahan et al., 2017, arXiv:1602.05629, algorithm 1.
    """

    streams: ClassVar[bool] = True
    least: ClassVar[int] = 1

    def combine(self, cohort: Cohort) -> Vector:
        check_size(cohort, self.least)
        total = sum(member.n_examples for member in cohort.members)
        shares = (member.n_examples / total for member in cohort.members)
        return cohort.deltas.weighted_sum(np.fromiter(shares, np.float64))
