"""An algorithm: what changes both ends."""

from dataclasses import dataclass, replace

import numpy as np

from fedge.strategies.algorithms.control import Control
from fedge.strategies.algorithms.ditto import personal_terms
from fedge.strategies.algorithms.fednova import normalise
from fedge.strategies.algorithms.values import LocalPlan, LocalTerms, Occasion, Sent, Vectors
from fedge.strategies.cohort import Cohort
from fedge.strategies.optimizers import State
from fedge.strategies.strategy import Strategy
from fedge.types import Vector


@dataclass(frozen=True, slots=True, kw_only=True)
class Algorithm:
    """What changes both ends of federated learning; with the defaults nothing does, as in FedAvg.

    It is a value and remembers nothing. Its methods do not write to their arguments.

    Attributes:
        name: without parameters. What is kept under one name means nothing under another.
        pull: the proximal term of a device's steps, instead of the plan's; None: the plan's.
        control: a vector that corrects a device's steps; None: there is none.
        is_normalised: whether deltas are divided by their numbers of steps.
        personal_pull: of the model that each device trains for itself; None: it trains none.
    """

    name: str
    pull: float | None = None
    control: Control | None = None
    is_normalised: bool = False
    personal_pull: float | None = None

    @property
    def memory_names(self) -> tuple[str, ...]:
        """The vectors that it keeps in `State.memory`, beside the optimizer's."""
        return () if self.control is None else (self.control.memory_name,)

    @property
    def server_names(self) -> tuple[str, ...]:
        """The vectors that devices need before they train; in the first round there are none."""
        return self.memory_names if self.control is not None and self.control.is_sent else ()

    @property
    def keeps_vector(self) -> bool:
        """Whether a device keeps a vector from round to round: `own` below."""
        return self.control is not None or self.personal_pull is not None

    def local(self, plan: LocalPlan, server: Vectors, own: Vector | None) -> LocalTerms:
        """On a device: what is added to the gradients of its steps.

        Args:
            plan: of the round.
            server: the vectors of `server_names`, as decoded.
            own: the device's vector; None before its first round.
        """
        proximal = plan.proximal if self.pull is None else self.pull
        if self.control is None:
            return LocalTerms(None, proximal)
        return LocalTerms(self.control.correction(server, own), proximal)

    def after(
        self, plan: LocalPlan, server: Vectors, own: Vector | None, sent: Sent
    ) -> Vector | None:
        """On a device: its correction after a round, from what it sent; None: it keeps none."""
        if self.control is None:
            return None
        before = np.zeros_like(sent.delta) if own is None else own
        return self.control.after(plan, server, before, sent)

    def personal(self, model: Vector, own: Vector | None) -> LocalTerms | None:
        """On a device: how it trains its own model beside the global one; None: it does not.

        Args:
            model: the trained part of the global model, float32 (n_trainable,).
            own: its own model before. Afterwards it is `start` plus the delta of its steps.
        """
        if self.personal_pull is None:
            return None
        return personal_terms(self.personal_pull, model, own)

    def init(self, state: State) -> State:
        """On the aggregator: the optimizer's state before the first round, and zeros."""
        zeros = {name: np.zeros_like(state.parameters) for name in self.memory_names}
        return replace(state, memory={**state.memory, **zeros})

    def prepare(self, cohort: Cohort, plan: LocalPlan) -> Cohort:
        """On the aggregator: the cohort as the bound on norms and the rule are to see it."""
        return normalise(cohort, plan) if self.is_normalised else cohort

    def step(self, strategy: Strategy, state: State, cohort: Cohort, occasion: Occasion) -> State:
        """On the aggregator: the strategy's step with a prepared cohort, and its own."""
        after = strategy.step(state, cohort)
        if self.control is None:
            return after
        name = self.control.memory_name
        sums = self.control.sums(state.memory[name], cohort, occasion)
        shift = self.control.shift(sums, occasion)
        parameters = after.parameters if shift is None else after.parameters + shift
        return State(parameters, {**after.memory, name: sums})

    def server(self, state: State, fleet_examples: int) -> dict[str, Vector]:
        """On the aggregator: what devices need in the next round, by `server_names`."""
        share = np.float32(1 / fleet_examples)
        return {name: share * state.memory[name] for name in self.server_names}
