"""FedDyn's dynamic regulariser."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fedge.strategies.algorithms.gain import gain
from fedge.strategies.algorithms.values import LocalPlan, Occasion, Sent, Vectors
from fedge.strategies.cohort import Cohort
from fedge.types import Vector


@dataclass(frozen=True, slots=True)
class DynamicRegulariser:
    """Makes the devices' optima agree: each subtracts the gradient that its last round ended at.

    That gradient, g_k, changes by -alpha * delta_k in every round that the device takes part in;
    the proximal term alpha belongs to it (`Algorithm.pull`). The aggregator moves the model by the
    mean delta and by -h / alpha, where h is the mean g_k of the fleet, also of the devices that
    did not take part. Where the codec sends only some of the values, g_k changes by a part of
    that (`gain`).

    Means are weighted by examples, so the optimum is FedAvg's; with equal numbers of examples they
    are the paper's.

    Source: Acar et al., 2021, arXiv:2111.04263, algorithm 1.
    """

    alpha: float
    memory_name: ClassVar[str] = "regulariser"
    is_sent: ClassVar[bool] = False

    def correction(self, server: Vectors, own: Vector | None) -> Vector | None:  # noqa: ARG002 - not sent
        return None if own is None else -own

    def after(self, plan: LocalPlan, server: Vectors, own: Vector, sent: Sent) -> Vector:  # noqa: ARG002 - not sent
        return own - np.float32(self.alpha * gain(plan)) * sent.delta

    def sums(self, sums: Vector, cohort: Cohort, occasion: Occasion) -> Vector:
        factor = -self.alpha * gain(occasion.plan)
        weights = [
            0.0 if one.n_steps is None else factor * one.n_examples for one in cohort.members
        ]
        return sums + cohort.deltas.weighted_sum(weights)

    def shift(self, sums: Vector, occasion: Occasion) -> Vector | None:
        return np.float32(-1 / (self.alpha * occasion.fleet_examples)) * sums
