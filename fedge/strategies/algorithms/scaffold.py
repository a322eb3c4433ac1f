"""SCAFFOLD's control variates, with one vector a round from each device."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fedge.strategies.algorithms.gain import gain
from fedge.strategies.algorithms.steps import effective_steps
from fedge.strategies.algorithms.values import LocalPlan, Occasion, Sent, Vectors
from fedge.strategies.cohort import Cohort
from fedge.types import Vector


@dataclass(frozen=True, slots=True)
class ControlVariates:
    """Each device corrects its gradients by c - c_i: the fleet's mean gradient minus its own.

    With option II of the paper, c_i changes by -c - delta_i / (K lr). The aggregator computes the
    same from the delta that it gets anyway, so no second vector is sent. K is the number of steps,
    or with momentum or a proximal term what they amount to (`effective_steps`). Where the codec
    sends only some of the values, c_i changes by a part of that (`gain`).

    Means are weighted by examples, as the rule's is, so the optimum is FedAvg's; with equal
    numbers of examples they are the paper's.

    Source: Karimireddy et al., 2020, arXiv:1910.06378, algorithm 1, option II.
    """

    memory_name: ClassVar[str] = "control"
    is_sent: ClassVar[bool] = True

    def correction(self, server: Vectors, own: Vector | None) -> Vector | None:
        mean = server.get(self.memory_name)
        if own is None:
            return mean
        return -own if mean is None else mean - own

    def after(self, plan: LocalPlan, server: Vectors, own: Vector, sent: Sent) -> Vector:
        after: Vector = own - np.float32(_factor(plan, sent.n_steps)) * sent.delta
        mean = server.get(self.memory_name)
        return after if mean is None else after - np.float32(gain(plan)) * mean

    def sums(self, sums: Vector, cohort: Cohort, occasion: Occasion) -> Vector:
        known = [(one.n_examples, one.n_steps) for one in cohort.members]
        weights = [
            0.0 if n_steps is None else -n_examples * _factor(occasion.plan, n_steps)
            for n_examples, n_steps in known
        ]
        after: Vector = sums + cohort.deltas.weighted_sum(weights)
        mean = occasion.server.get(self.memory_name)
        if mean is None:
            return after
        n_known = sum(n_examples for n_examples, n_steps in known if n_steps is not None)
        return after - np.float32(n_known * gain(occasion.plan)) * mean

    def shift(self, sums: Vector, occasion: Occasion) -> Vector | None:  # noqa: ARG002 - the strategy's step is all
        return None


def _factor(plan: LocalPlan, n_steps: int) -> float:
    return gain(plan) / (plan.lr * effective_steps(n_steps, plan))
