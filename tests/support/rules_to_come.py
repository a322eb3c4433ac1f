"""Rules that fedge does not have yet, as their papers say them: the interface must fit them.

Plain and slow. They stand here so that nobody changes `Rule`, `PreAggregator`, `Cohort` or `Deltas`
without seeing whom it would shut out.
"""

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fedge.strategies import Cohort, Deltas, Member, State, Weights
from fedge.strategies.robust import coordinate_median, trimmed_mean
from fedge.types import Vector


@dataclass(frozen=True, slots=True)
class CoordinateMedian:
    """Yin et al., 2018, arXiv:1803.01498, definition 1."""

    streams: ClassVar[bool] = False
    least: ClassVar[int] = 1

    def combine(self, cohort: Cohort) -> Vector:
        parts = [coordinate_median(rows) for rows in _ranges(cohort)]
        return np.concatenate(parts)


@dataclass(frozen=True, slots=True)
class TrimmedMean:
    """Yin et al., 2018, arXiv:1803.01498, definition 2."""

    f: int
    streams: ClassVar[bool] = False

    @property
    def least(self) -> int:
        return 2 * self.f + 1

    def combine(self, cohort: Cohort) -> Vector:
        return np.concatenate([trimmed_mean(rows, n_byzantine=self.f) for rows in _ranges(cohort)])


@dataclass(frozen=True, slots=True)
class Krum:
    """The delta with the least sum of squared distances to its n - f - 2 nearest.

    Blanchard et al., 2017, arXiv:1703.02757.
    """

    f: int
    streams: ClassVar[bool] = False

    @property
    def least(self) -> int:
        return 2 * self.f + 3

    def combine(self, cohort: Cohort) -> Vector:
        n = len(cohort.members)
        nearest = np.sort(_squared_distances(cohort), axis=1)[:, 1 : n - self.f - 1]
        weights = [0.0] * n
        weights[int(nearest.sum(axis=1).argmin())] = 1.0
        return cohort.deltas.weighted_sum(weights)


@dataclass(frozen=True, slots=True)
class NearestNeighborMixing:
    """Each delta becomes the mean of its n - f nearest, itself among them.

    Allouah et al., 2023, arXiv:2302.01772, algorithm 2.
    """

    f: int
    streams: ClassVar[bool] = False

    def least(self, n_left: int) -> int:
        return max(n_left, 2 * self.f + 1)

    def prepare(self, cohort: Cohort) -> Cohort:
        n_near = len(cohort.members) - self.f
        nearest = np.argsort(_squared_distances(cohort), axis=1, kind="stable")[:, :n_near]
        mixture = np.zeros((len(cohort.members),) * 2)
        np.put_along_axis(mixture, nearest, 1 / n_near, axis=1)
        return Cohort(cohort.members, MixedDeltas(cohort.deltas, mixture))


@dataclass(frozen=True, slots=True)
class Bucketing:
    """Means of s deltas each, in an order that no device chooses.

    Karimireddy et al., 2022, arXiv:2006.09365, algorithm 1.
    """

    s: int
    streams: ClassVar[bool] = True

    def least(self, n_left: int) -> int:
        return self.s * (n_left - 1) + 1

    def prepare(self, cohort: Cohort) -> Cohort:
        def shuffled(place: int) -> bytes:
            one = cohort.members[place]
            return hashlib.sha256(f"{one.round} {one.device}".encode()).digest()

        places = sorted(range(len(cohort.members)), key=shuffled)
        groups = [places[start : start + self.s] for start in range(0, len(places), self.s)]
        mixture = np.zeros((len(groups), len(places)))
        for row, group in zip(mixture, groups, strict=True):
            row[group] = 1 / len(group)
        members = tuple(cohort.members[group[0]] for group in groups)
        return Cohort(members, MixedDeltas(cohort.deltas, mixture))


@dataclass(frozen=True, slots=True, eq=False)
class MixedDeltas:
    """Weighted means of other deltas; the mixture has shape (n after, n before)."""

    deltas: Deltas
    mixture: np.ndarray

    @property
    def n_params(self) -> int:
        return self.deltas.n_params

    def weighted_sum(self, weights: Weights) -> Vector:
        return self.deltas.weighted_sum(np.asarray(weights) @ self.mixture)

    def columns(self, start: int, stop: int, *, absent: float = 0.0) -> Vector:
        del absent  # a mean of some that were sent and zeros has all its parameters
        return self.mixture.astype(np.float32) @ self.deltas.columns(start, stop)


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
        return np.concatenate(
            [deltas.columns(start, stop, absent=absent) for _, deltas in self.shards]
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FedAvgM:
    """Hsu et al., 2019, arXiv:1909.06335."""

    lr: float = 1.0
    beta: float = 0.9
    memory_names: ClassVar[tuple[str, ...]] = ("momentum",)

    def init(self, parameters: Vector) -> State:
        return State(parameters, {"momentum": np.zeros_like(parameters)})

    def step(self, state: State, delta: Vector) -> State:
        momentum = np.float32(self.beta) * state.memory["momentum"] + delta
        return State(state.parameters + np.float32(self.lr) * momentum, {"momentum": momentum})


def site(members: Sequence[Member]) -> int:
    """What an edge aggregator says in its own update: the examples of all its devices."""
    return sum(member.n_examples for member in members)


def _ranges(cohort: Cohort) -> Iterator[Vector]:
    return (cohort.deltas.columns(start, stop) for start, stop in cohort.ranges())


def _squared_distances(cohort: Cohort) -> np.ndarray:
    n = len(cohort.members)
    total = np.zeros((n, n))
    for rows in _ranges(cohort):
        for place, row in enumerate(rows.astype(np.float64)):
            total[place] += ((rows - row) ** 2).sum(axis=1)
    return total
