"""Adam on the server."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fedge.strategies.limits import require_range
from fedge.strategies.optimizers.base import State
from fedge.types import Vector


@dataclass(frozen=True, slots=True, kw_only=True)
class FedAdam:
    """Treats the cohort's delta as a descent direction and applies Adam.

    As in the source, there is no bias correction, and the variance starts at tau
    squared.

    Source: Reddi et al., 2021, arXiv:2003.00295, algorithm 2.
    """

    lr: float = 0.1
    beta1: float = 0.9
    beta2: float = 0.99
    tau: float = 1e-3  # adaptivity floor, in the units of the parameters
    memory_names: ClassVar[tuple[str, ...]] = ("momentum", "variance")

    def __post_init__(self) -> None:
        require_range("optimizer fedadam", "lr", self.lr, low=1e-6, high=1e3)
        require_range("optimizer fedadam", "beta1", self.beta1, low=0.0, high=0.999999)
        require_range("optimizer fedadam", "beta2", self.beta2, low=0.0, high=0.999999)
        # Its square must be a normal float32.
        require_range("optimizer fedadam", "tau", self.tau, low=1e-18, high=1e3)

    def init(self, parameters: Vector) -> State:
        memory = {
            "momentum": np.zeros(parameters.shape, np.float32),
            "variance": np.full(parameters.shape, self.tau**2, np.float32),
        }
        return State(parameters, memory)

    def step(self, state: State, delta: Vector) -> State:
        lr, beta1, beta2, tau = map(np.float32, (self.lr, self.beta1, self.beta2, self.tau))
        one = np.float32(1)
        momentum = beta1 * state.memory["momentum"] + (one - beta1) * delta
        variance = beta2 * state.memory["variance"] + (one - beta2) * (delta * delta)
        parameters = state.parameters + lr * momentum / (np.sqrt(variance) + tau)
        return State(parameters, {"momentum": momentum, "variance": variance})
