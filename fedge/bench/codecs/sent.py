"""A cohort's deltas as any scheme of the bench sent them, peers' too."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fedge.bench.codecs.schemes import Decoder
from fedge.strategies import Weights
from fedge.types import Vector


@dataclass(frozen=True, slots=True, eq=False)
class SentDeltas:
    """Payloads in memory, and what adds one to a sum; see `fedge.strategies.Deltas`."""

    n_params: int
    payloads: Sequence[bytes]
    accumulate: Decoder

    def weighted_sum(self, weights: Weights) -> Vector:
        total: Vector = np.zeros(self.n_params, np.float32)
        for weight, payload in zip(weights, self.payloads, strict=True):
            if np.float32(weight):
                self.accumulate(payload, float(np.float32(weight)), total)
        return total

    def columns(self, start: int, stop: int, *, absent: float = 0.0) -> Vector:
        del absent  # no peer's decoder tells what was sent
        rows = np.empty((len(self.payloads), stop - start), np.float32)
        for row, payload in zip(rows, self.payloads, strict=True):
            whole: Vector = np.zeros(self.n_params, np.float32)
            self.accumulate(payload, 1.0, whole)
            row[:] = whole[start:stop]
        return rows
