"""What the adaptive server optimizers have in common.

Source: Reddi et al., 2021, arXiv:2003.00295, algorithm 2; the correction of the bias is that of
Kingma and Ba, 2015, arXiv:1412.6980, section 3.
"""

import numpy as np

from fedge.strategies.limits import require_range
from fedge.strategies.optimizers.base import State
from fedge.types import Vector

VECTORS = ("momentum", "variance")


def check(whose: str, *, lr: float, tau: float, **shares: float) -> None:
    """ConfigError unless a learning rate, tau, betas and switches are in their ranges."""
    require_range(whose, "lr", lr, low=1e-6, high=1e3)
    for name, share in shares.items():
        high = 1.0 if name == "bias_correction" else 0.999999
        require_range(whose, name, share, low=0.0, high=high)
    require_range(whose, "tau", tau, low=1e-18, high=1e3)  # its square must be a normal float32


def start(parameters: Vector, *, variance: float, numbers: tuple[str, ...]) -> State:
    """No momentum, this variance everywhere, and each number at 1: the power 0 of its beta."""
    memory = {
        "momentum": np.zeros(parameters.shape, np.float32),
        "variance": np.full(parameters.shape, variance, np.float32),
    }
    return State(parameters, memory | {name: np.ones(1, np.float32) for name in numbers})


def decay(state: State, name: str, beta: float) -> Vector:
    """The power of a beta after one more round, float32 (1,)."""
    return np.float32(beta) * state.memory[name]


def mix(beta: float, before: Vector, now: Vector) -> Vector:
    """beta * before + (1 - beta) * now."""
    share = np.float32(beta)
    return share * before + (np.float32(1) - share) * now


def unbiased(mean: Vector, power: Vector) -> Vector:
    """A running mean that began at 0, over the sum of its weights; power is beta to the rounds."""
    return mean / (np.float32(1) - power)


def moved(
    parameters: Vector, *, lr: float, momentum: Vector, variance: Vector, tau: float
) -> Vector:
    """The parameters after a step along the momentum."""
    return parameters + np.float32(lr) * momentum / (np.sqrt(variance) + np.float32(tau))
