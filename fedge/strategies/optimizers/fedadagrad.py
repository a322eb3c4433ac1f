"""Adagrad on the server."""

from dataclasses import dataclass
from typing import ClassVar

from fedge.strategies.optimizers import adaptive
from fedge.strategies.optimizers.base import State
from fedge.types import Vector


@dataclass(frozen=True, slots=True, kw_only=True)
class FedAdagrad:
    """Divides by the root of the sum of all squared deltas, so steps only get smaller.

    As in the source, the sum starts at tau squared, and there is no momentum unless `beta1` is
    given. `bias_correction=1` divides the momentum by the sum of its weights.

    Source: Reddi et al., 2021, arXiv:2003.00295, algorithm 2.
    """

    lr: float = 0.1
    beta1: float = 0.0
    tau: float = 1e-3  # adaptivity floor, in the units of the parameters
    bias_correction: int = 0
    memory_names: ClassVar[tuple[str, ...]] = adaptive.VECTORS
    number_names: ClassVar[tuple[str, ...]] = ("beta1_power",)

    def __post_init__(self) -> None:
        adaptive.check(
            "optimizer fedadagrad",
            lr=self.lr,
            beta1=self.beta1,
            tau=self.tau,
            bias_correction=self.bias_correction,
        )

    def init(self, parameters: Vector) -> State:
        return adaptive.start(parameters, variance=self.tau**2, numbers=self.number_names)

    def step(self, state: State, delta: Vector) -> State:
        memory = {
            "momentum": adaptive.mix(self.beta1, state.memory["momentum"], delta),
            "variance": state.memory["variance"] + delta * delta,
            "beta1_power": adaptive.decay(state, "beta1_power", self.beta1),
        }
        momentum = memory["momentum"]
        if self.bias_correction:
            momentum = adaptive.unbiased(momentum, memory["beta1_power"])
        parameters = adaptive.moved(
            state.parameters,
            lr=self.lr,
            momentum=momentum,
            variance=memory["variance"],
            tau=self.tau,
        )
        return State(parameters, memory)
