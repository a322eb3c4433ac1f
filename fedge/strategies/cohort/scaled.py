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
    return replace(
        cohort,
        members=tuple(_scaled(member, share) for member, share in parts if share),
        deltas=ScaledDeltas(cohort.deltas, tuple(shares)),
        history=cohort.history and _only(cohort.history, shares),
        n_read=max(len(cohort.members), cohort.n_read),
        gram=cohort.gram and cohort.gram.mixed(np.diag(shares)[np.flatnonzero(shares)]),
    )


def _only(history: Deltas, shares: Sequence[float]) -> ScaledDeltas:
    """What a device did in earlier rounds is not shortened with its delta."""
    return ScaledDeltas(history, tuple(1.0 if share else 0.0 for share in shares))


def _scaled(member: Member, share: float) -> Member:
    if share == 1 or member.norm is None:
        return member
    return replace(member, norm=member.norm * share)
