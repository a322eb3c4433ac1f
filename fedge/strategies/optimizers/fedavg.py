"""Federated averaging."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fedge.strategies.limits import require_range
from fedge.strategies.optimizers.base import State
from fedge.types import Vector


@dataclass(frozen=True, slots=True, kw_only=True)
class FedAvg:
    """Moves the model by the cohort's delta, times the server's learning rate.

    Source: McMahan et al., 2017, arXiv:1602.05629, algorithm 1 (lr = 1).
    """

    lr: float = 1.0
    memory_names: ClassVar[tuple[str, ...]] = ()
    number_names: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        require_range("optimizer fedavg", "lr", self.lr, low=1e-6, high=1e3)

    def init(self, parameters: Vector) -> State:
        return State(parameters)

    def step(self, state: State, delta: Vector) -> State:
        return State(state.parameters + np.float32(self.lr) * delta)
