"""Cohorts whose updates are in memory, for simulations and tests."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fedge.strategies.cohort.cohort import Cohort, Member
from fedge.strategies.cohort.deltas import Weights
from fedge.types import DeviceId, RoundId, Update, Vector


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    rows: tuple[Vector, ...]

    @property
    def n_params(self) -> int:
        return self.rows[0].size

    def weighted_sum(self, weights: Weights) -> Vector:
        total = np.zeros(self.n_params, np.float32)
        for weight, row in zip(np.asarray(weights, np.float64), self.rows, strict=True):
            if np.float32(weight):
                total += np.float32(weight) * row
        return total

    def columns(self, start: int, stop: int, *, absent: float = 0.0) -> Vector:
        del absent  # a row has all its parameters
        return np.stack([row[start:stop] for row in self.rows])


def cohort_of(updates: Mapping[DeviceId, Update], *, round_: int = 0) -> Cohort:
    """A cohort of these updates, in device order, whatever order they are given in.

    Args:
        updates: at least one, all with deltas of shape (n_params,).
        round_: the one that they answer.

    Raises:
        ValueError: if there are no updates.
    """
    if not updates:
        raise ValueError("a cohort needs at least one update")
    devices = sorted(updates)
    members = tuple(
        Member(
            device=device,
            round=RoundId(round_),
            n_examples=updates[device].n_examples,
            n_steps=updates[device].n_steps,
            loss=updates[device].loss,
        )
        for device in devices
    )
    return Cohort(members, _Rows(tuple(updates[device].delta for device in devices)))
