"""A rule and an optimizer: from a cohort to the next model."""

from dataclasses import dataclass

from fedge.strategies.cohort import Cohort
from fedge.strategies.optimizers import Optimizer, State
from fedge.strategies.rules import Rule
from fedge.types import Vector


@dataclass(frozen=True, slots=True)
class Strategy:
    """How a cohort's updates become the next model."""

    rule: Rule
    optimizer: Optimizer

    def init(self, parameters: Vector) -> State:
        """The state before the first round; parameters float32 (n_trainable,)."""
        return self.optimizer.init(parameters)

    def step(self, state: State, cohort: Cohort) -> State:
        """One round: the state before and a cohort of at least `rule.least`, to the state after."""
        return self.optimizer.step(state, self.rule.combine(cohort))
