"""A cohort with some deltas shortened and some left out."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from fedge.strategies.cohort.cohort import Cohort, Member
from fedge.strategies.cohort.deltas import Deltas, Weights
from fedge.types import Vector


@dataclass(frozen=True, slots=True, eq=False)
class ScaledDeltas:
    """Other deltas, each multiplied by its share.

    Attributes:
        deltas: all of them.
        shares: one for each: 1 is all of it, 0 leaves it out.
    """

    deltas: Deltas
    shares: Sequence[float]

    @property
    def n_params(self) -> int:
        return self.deltas.n_params

    def weighted_sum(self, weights: Weights) -> Vector:
        all_weights = np.array(self.shares, np.float64)
        counted = np.flatnonzero(all_weights)
        if len(weights) != counted.size:
            raise ValueError(f"{len(weights)} weights for {counted.size} deltas")
        all_weights[counted] *= weights
        return self.deltas.weighted_sum(all_weights)

    def columns(self, start: int, stop: int, *, absent: float = 0.0) -> Vector:
        counted = np.flatnonzero(self.shares)
        rows = self.deltas.columns(start, stop, absent=absent)[counted]
        rows *= np.asarray(self.shares, np.float32)[counted, None]
        return rows


def scale(cohort: Cohort, shares: Sequence[float]) -> Cohort:
    """The cohort with each delta times its share; members with share 0 are left out."""
    parts = zip(cohort.members, shares, strict=True)
    members = tuple(_scaled(member, share) for member, share in parts if share)
    return Cohort(members, ScaledDeltas(cohort.deltas, tuple(shares)))


def _scaled(member: Member, share: float) -> Member:
    if share == 1 or member.norm is None:
        return member
    return replace(member, norm=member.norm * share)
