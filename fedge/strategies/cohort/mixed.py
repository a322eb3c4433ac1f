"""A cohort whose deltas are weighted sums of another one's."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from fedge.strategies.cohort import tiles as _kernels
from fedge.strategies.cohort.cohort import Cohort, Member
from fedge.strategies.cohort.deltas import Deltas, Weights
from fedge.types import Array, Vector


@dataclass(frozen=True, slots=True, eq=False)
class MixedDeltas:
    """Weighted sums of other deltas, in which a parameter that was not sent counts as 0.

    Attributes:
        deltas: those that are mixed.
        mixture: float64, shape (n after, n before); rounded to float32 when columns are read.
        is_dense: whether the sums have every parameter, or only those that one of their parts has.
    """

    deltas: Deltas
    mixture: Array
    is_dense: bool

    @property
    def n_params(self) -> int:
        return self.deltas.n_params

    def weighted_sum(self, weights: Weights) -> Vector:
        total = np.zeros(self.mixture.shape[1])
        for weight, row in zip(np.asarray(weights, np.float64), self.mixture, strict=True):
            if np.float32(weight):
                total += weight * row
        return self.deltas.weighted_sum(total)

    def columns(self, start: int, stop: int, *, absent: float = 0.0) -> Vector:
        if self.is_dense or absent == 0:
            return self._mixed(self.deltas.columns(start, stop))
        rows = self.deltas.columns(start, stop, absent=np.nan)
        is_absent = np.isnan(rows)
        rows[is_absent] = 0
        out = self._mixed(rows)
        for row, parts in zip(out, self.mixture, strict=True):
            row[is_absent[parts != 0].all(axis=0)] = absent
        return out

    def _mixed(self, rows: Vector) -> Vector:
        out = np.empty((len(self.mixture), rows.shape[1]), np.float32)
        _kernels.mix_tile(self.mixture.astype(np.float32), np.ascontiguousarray(rows), out)
        return out


def mix(cohort: Cohort, mixture: Array, members: Sequence[Member], *, is_dense: bool) -> Cohort:
    """The cohort of these weighted sums; each stands for one member, whose norm is not known.

    Args:
        cohort: whose deltas are mixed.
        mixture: shape (n after, n before).
        members: n after of them, in the order of the new cohort.
        is_dense: see `MixedDeltas`.
    """
    return replace(
        cohort,
        members=tuple(replace(member, norm=None) for member in members),
        deltas=MixedDeltas(cohort.deltas, mixture, is_dense),
        n_read=max(len(cohort.members), cohort.n_read),
        gram=cohort.gram and cohort.gram.mixed(mixture),
        history=cohort.history and MixedDeltas(cohort.history, mixture, is_dense=True),
    )
