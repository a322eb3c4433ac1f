"""Adam on the server."""

from dataclasses import dataclass
from typing import ClassVar

from fedge.strategies.optimizers import adaptive
from fedge.strategies.optimizers.base import State
from fedge.types import Vector


@dataclass(frozen=True, slots=True, kw_only=True)
class FedAdam:
    """Treats the cohort's delta as a descent direction and applies Adam.

    As in the source, there is no bias correction, and the variance starts at tau squared. With
    `bias_correction=1` the variance starts at 0, and both running means are divided by the sum of
    their weights, as in Adam itself.

    Source: Reddi et al., 2021, arXiv:2003.00295, algorithm 2.
    """

    lr: float = 0.1
    beta1: float = 0.9
    beta2: float = 0.99
    tau: float = 1e-3  # adaptivity floor, in the units of the parameters
    bias_correction: int = 0
    memory_names: ClassVar[tuple[str, ...]] = adaptive.VECTORS
    number_names: ClassVar[tuple[str, ...]] = ("beta1_power", "beta2_power")

    def __post_init__(self) -> None:
        adaptive.check(
            f"optimizer {type(self).__name__.lower()}",
            lr=self.lr,
            beta1=self.beta1,
            beta2=self.beta2,
            tau=self.tau,
            bias_correction=self.bias_correction,
        )

    def init(self, parameters: Vector) -> State:
        variance = 0.0 if self.bias_correction else self.tau**2
        return adaptive.start(parameters, variance=variance, numbers=self.number_names)

    def step(self, state: State, delta: Vector) -> State:
        memory = {
            "momentum": adaptive.mix(self.beta1, state.memory["momentum"], delta),
            "variance": self._variance(state.memory["variance"], delta * delta),
            "beta1_power": adaptive.decay(state, "beta1_power", self.beta1),
            "beta2_power": adaptive.decay(state, "beta2_power", self.beta2),
        }
        momentum, variance = memory["momentum"], memory["variance"]
        if self.bias_correction:
            momentum = adaptive.unbiased(momentum, memory["beta1_power"])
            variance = adaptive.unbiased(variance, memory["beta2_power"])
        parameters = adaptive.moved(
            state.parameters, lr=self.lr, momentum=momentum, variance=variance, tau=self.tau
        )
        return State(parameters, memory)

    def _variance(self, before: Vector, squared: Vector) -> Vector:
        return adaptive.mix(self.beta2, before, squared)
