"""Pre-aggregators that replace deltas with means of several."""

import hashlib
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from fedge.strategies.cohort import Cohort, Member, gram_of, mix
from fedge.strategies.limits import require_range
from fedge.strategies.robust import selection
from fedge.strategies.rules.hostile import MAJORITY, check_size, require_hostile


@dataclass(frozen=True, slots=True)
class NearestNeighborMixing:
    """Each delta becomes the mean of its n - f nearest, itself among them.

    The means have every parameter: what a single device has sent is in most of them if it lies
    near the others, and in few if not.

    Source: Allouah et al., 2023, arXiv:2302.01772, algorithm 2.
    """

    f: float
    streams: ClassVar[bool] = False
    makes_dense: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require_hostile("pre-aggregator nnm", self.f)

    def least(self, n_left: int) -> int:
        return max(n_left, MAJORITY.least(self.f))

    def prepare(self, cohort: Cohort) -> Cohort:
        f, gram = MAJORITY.count(self.f, cohort), gram_of(cohort)
        mixture = selection.nearest_neighbor_mixture(gram.centred, f)
        return mix(replace(cohort, gram=gram), mixture, cohort.members, is_dense=True)


@dataclass(frozen=True, slots=True)
class Bucketing:
    """Means of s deltas each, in an order that no device can choose: that of a hash.

    The last mean may be of fewer. A mean has the parameters that one of its members has sent. It
    stands under the name of its first member and for the
    examples of all.

    Source: Karimireddy et al., 2022, arXiv:2006.09365, algorithm 1.
    """

    s: int = 2
    streams: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require_range("pre-aggregator bucketing", "s", self.s, low=1, high=1000)

    def least(self, n_left: int) -> int:
        return self.s * (n_left - 1) + 1

    def prepare(self, cohort: Cohort) -> Cohort:
        check_size(cohort, 1)
        places = sorted(range(len(cohort.members)), key=lambda place: _drawn(cohort.members[place]))
        groups = [places[start : start + self.s] for start in range(0, len(places), self.s)]
        mixture = np.zeros((len(groups), len(places)))
        for row, group in zip(mixture, groups, strict=True):
            row[group] = 1 / len(group)
        members = [_bucket(cohort.members, group) for group in groups]
        return mix(cohort, mixture, members, is_dense=False)


def _drawn(member: Member) -> bytes:
    return hashlib.sha256(f"{member.round} {member.device}".encode()).digest()


def _bucket(members: tuple[Member, ...], group: list[int]) -> Member:
    n_examples = sum(members[place].n_examples for place in group)
    return replace(members[group[0]], n_examples=n_examples)
