"""Rules that trust a delta by what else is known: a delta of one's own, or earlier ones."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from fedge.strategies.cohort import (
    Cohort,
    Deltas,
    Member,
    Weights,
    dots_with,
    gram_of,
    norms_of,
)
from fedge.strategies.robust import selection
from fedge.strategies.rules.hostile import check_size
from fedge.types import Array, Vector


@dataclass(frozen=True, slots=True)
class FLTrust:
    """A mean by how well deltas agree with one from trusted data, each given that one's length.

    A delta that points away from it does not count at all. If none agrees, the result is 0.

    Source: Cao et al., 2021, arXiv:2012.13995, algorithm 2.
    """

    streams: ClassVar[bool] = False
    least: ClassVar[int] = 1
    needs_reference: ClassVar[bool] = True

    def combine(self, cohort: Cohort) -> Vector:
        check_size(cohort, self.least)
        if cohort.reference is None:
            raise ValueError("fltrust needs a reference")
        length = float(np.sqrt(np.sum(np.square(cohort.reference, dtype=np.float64))))
        dots = dots_with(cohort, cohort.reference)
        weights = selection.fltrust_weights(dots, norms_of(cohort), length)
        return cohort.deltas.weighted_sum(weights)


@dataclass(frozen=True, slots=True)
class FoolsGold:
    """A mean that counts devices less, the more alike all their deltas so far are.

    Devices that always say the same are taken to be one that hides behind many names. Without
    a history, only this round's deltas are compared. If nobody is trusted, the result is 0.

    Source: Fung et al., 2018, arXiv:1808.04866, algorithm 1, without its feature importance; the
    weights are divided by their sum, so that the result is a mean.
    """

    streams: ClassVar[bool] = False
    least: ClassVar[int] = 1
    needs_history: ClassVar[bool] = True

    def combine(self, cohort: Cohort) -> Vector:
        check_size(cohort, self.least)
        devices = _places_of_devices(cohort.members)
        whole = replace(cohort, deltas=_with_history(cohort, devices), gram=None)
        alike = gram_of(whole).mixed(devices).uncentred
        trust = selection.foolsgold_weights(alike) @ devices
        total = float(np.sum(trust))
        return cohort.deltas.weighted_sum(trust / total if total > 0 else trust)


def _places_of_devices(members: tuple[Member, ...]) -> Array:
    """Shape (n devices, n members): 1 where a member is that device."""
    names = [member.device for member in members]
    return np.array([[name == device for name in names] for device in sorted(set(names))], float)


@dataclass(frozen=True, slots=True, eq=False)
class _WithHistory:
    """Deltas and what their devices have sent before, where `is_first` is 1."""

    deltas: Deltas
    history: Deltas
    is_first: Vector

    @property
    def n_params(self) -> int:
        return self.deltas.n_params

    def weighted_sum(self, weights: Weights) -> Vector:
        earlier = self.history.weighted_sum(np.asarray(weights, np.float64) * self.is_first)
        return self.deltas.weighted_sum(weights) + earlier

    def columns(self, start: int, stop: int, *, absent: float = 0.0) -> Vector:
        rows = self.history.columns(start, stop) * self.is_first[:, None]
        return rows + self.deltas.columns(start, stop, absent=absent)


def _with_history(cohort: Cohort, devices: Array) -> Deltas:
    if cohort.history is None:
        return cohort.deltas
    is_first = np.zeros(len(cohort.members), np.float32)
    is_first[devices.argmax(axis=1)] = 1  # a device that is here twice has one history
    return _WithHistory(cohort.deltas, cohort.history, is_first)
