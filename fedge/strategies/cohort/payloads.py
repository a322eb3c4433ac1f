"""Deltas that are kept as payloads and decoded when they are read."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from fedge import codecs
from fedge.strategies.cohort.deltas import Weights
from fedge.types import Vector


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PayloadDeltas:
    """Deltas as their devices sent them; only one payload is in memory at a time.

    `columns` reads every payload again for every range, trading time for memory: a sparse one up to
    the end of the range, the others only within it.

    Attributes:
        n_params: the size of a delta.
        n_members: how many payloads there are.
        read: yields the payloads at these positions of the cohort, one after another.

    Raises:
        PayloadError: from both methods, if a payload cannot be decoded or has another size.
    """

    n_params: int
    n_members: int
    read: Callable[[Iterable[int]], Iterable[bytes]]

    def weighted_sum(self, weights: Weights) -> Vector:
        rounded = np.asarray(weights, np.float64).astype(np.float32)
        if rounded.size != self.n_members:
            raise ValueError(f"{rounded.size} weights for {self.n_members} payloads")
        places = np.flatnonzero(rounded)
        total = np.zeros(self.n_params, np.float32)
        for place, payload in zip(places, self.read(places), strict=True):
            codecs.accumulate(payload, float(rounded[place]), total)
        return total

    def columns(self, start: int, stop: int, *, absent: float = 0.0) -> Vector:
        rows = np.empty((self.n_members, stop - start), np.float32)
        for row, payload in zip(rows, self.read(range(self.n_members)), strict=True):
            codecs.decode_range(payload, start, row, absent=absent, n_params=self.n_params)
        return rows
