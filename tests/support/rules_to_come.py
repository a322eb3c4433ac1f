"""Rules that fedge does not have yet, as their papers say them: the interface must fit them.

Plain and slow. They stand here so that nobody changes `Rule`, `Cohort` or `Deltas` without seeing
whom it would shut out.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fedge.strategies import Cohort, Deltas, Member, Weights
from fedge.types import Vector


@dataclass(frozen=True, slots=True)
class FedBuff:
    """A buffer of K updates, each discounted by how stale it is.

    Nguyen et al., 2022, arXiv:2106.06639, with s = 1 / sqrt(1 + staleness).
    """

    streams: ClassVar[bool] = True
    least: ClassVar[int] = 1

    def combine(self, cohort: Cohort) -> Vector:
        n = len(cohort.members)
        return cohort.deltas.weighted_sum(
            [1 / math.sqrt(1 + member.staleness) / n for member in cohort.members]
        )


@dataclass(frozen=True, slots=True)
class FedNova:
    """Deltas a step, times the cohort's mean number of steps; who has not said took that number.

    Wang et al., 2020, arXiv:2007.07481, equation 7 with a plain local SGD.
    """

    streams: ClassVar[bool] = True
    least: ClassVar[int] = 1

    def combine(self, cohort: Cohort) -> Vector:
        known = [(one.n_examples, one.n_steps) for one in cohort.members if one.n_steps is not None]
        mean = sum(n * steps for n, steps in known) / sum(n for n, _ in known) if known else 1.0
        total = sum(one.n_examples for one in cohort.members)
        return cohort.deltas.weighted_sum(
            [one.n_examples / total * mean / (one.n_steps or mean) for one in cohort.members]
        )


@dataclass(frozen=True, slots=True)
class QFedAvg:
    """Counts more where the loss is higher; it needs losses and norms.

    Li et al., 2020, arXiv:1905.10497, algorithm 2, with L = 1.
    """

    q: float
    streams: ClassVar[bool] = True
    least: ClassVar[int] = 1

    def combine(self, cohort: Cohort) -> Vector:
        facts = [(one.loss or 1.0, one.norm or 0.0) for one in cohort.members]
        steps = sum(self.q * loss ** (self.q - 1) * norm**2 + loss**self.q for loss, norm in facts)
        return cohort.deltas.weighted_sum([loss**self.q / steps for loss, _ in facts])


@dataclass(frozen=True, slots=True, eq=False)
class ShardedDeltas:
    """One cohort on several workers: of a weighted sum each gives its part."""

    shards: Sequence[tuple[int, Deltas]]  # how many members, and their deltas

    @property
    def n_params(self) -> int:
        return self.shards[0][1].n_params

    def weighted_sum(self, weights: Weights) -> Vector:
        rest, total = list(weights), np.zeros(self.n_params, np.float32)
        for n, deltas in self.shards:
            total += deltas.weighted_sum(rest[:n])
            rest = rest[n:]
        return total

    def columns(self, start: int, stop: int, *, absent: float = 0.0) -> Vector:
        parts = [deltas.columns(start, stop, absent=absent) for _, deltas in self.shards]
        return np.concatenate(parts)


def site(members: Sequence[Member]) -> int:
    """What an edge aggregator says in its own update: the examples of all its devices."""
    return sum(member.n_examples for member in members)
