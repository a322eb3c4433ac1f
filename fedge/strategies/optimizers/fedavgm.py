"""Federated averaging with momentum on the server."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fedge.strategies.limits import require_range
from fedge.strategies.optimizers.base import State
from fedge.types import Vector


@dataclass(frozen=True, slots=True, kw_only=True)
class FedAvgM:
    """Moves the model by the deltas of all rounds, each round's counting beta times the next one's.

    A delta moves the model by 1 / (1 - beta) times itself in the end, so a momentum of 0.9 wants
    a learning rate of 0.1 to 1.

    Source: Hsu et al., 2019, arXiv:1909.06335, section 4 (lr = 1).
    """

    lr: float = 1.0
    beta: float = 0.9
    memory_names: ClassVar[tuple[str, ...]] = ("momentum",)
    number_names: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        require_range("optimizer fedavgm", "lr", self.lr, low=1e-6, high=1e3)
        require_range("optimizer fedavgm", "beta", self.beta, low=0.0, high=0.999999)

    def init(self, parameters: Vector) -> State:
        return State(parameters, {"momentum": np.zeros(parameters.shape, np.float32)})

    def step(self, state: State, delta: Vector) -> State:
        momentum = np.float32(self.beta) * state.memory["momentum"] + delta
        return State(state.parameters + np.float32(self.lr) * momentum, {"momentum": momentum})
