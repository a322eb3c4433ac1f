"""The optimizer of one local round, on flat vectors."""

import numpy as np

from fedge._kernels import sgd_step
from fedge.training.plan import Plan
from fedge.types import Vector


class LocalSgd:
    """Moves parameters in place by the plan's SGD; every round starts a new one, without momentum.

    Attributes:
        anchor: the starting parameters, towards which the proximal term pulls.
        correction: added to every gradient, after it was clipped; None adds nothing.
    """

    def __init__(self, parameters: Vector, plan: Plan, correction: Vector | None = None) -> None:
        self.anchor = parameters.copy()
        self._parameters = parameters
        self._momentum = np.zeros_like(parameters) if plan.momentum else parameters[:0]
        self.correction = correction
        self._plan = plan

    def step(self, gradient: Vector, norm: float) -> None:
        """One step along the gradient, given its norm; clips and corrects it in place."""
        plan = self._plan
        if plan.clip_norm is not None and norm > plan.clip_norm:
            gradient *= np.float32(plan.clip_norm / norm)
        if self.correction is not None:
            with np.errstate(over="ignore"):  # what comes of it is checked at the end
                gradient += self.correction
        sgd_step(
            self._parameters,
            gradient,
            self._momentum,
            self.anchor,
            plan.lr,
            plan.momentum,
            plan.weight_decay,
            plan.proximal,
        )

    def delta(self) -> Vector:
        """How far the parameters moved, as a new vector."""
        with np.errstate(over="ignore", invalid="ignore"):  # the caller checks the result
            return self._parameters - self.anchor
