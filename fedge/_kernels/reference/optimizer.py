"""NumPy twin of the optimizer step."""

import numpy as np

from fedge.types import Vector


def sgd_step(  # noqa: PLR0913, PLR0917 - the formula has eight terms
    parameters: Vector,
    gradient: Vector,
    momentum_buffer: Vector,
    anchor: Vector,
    lr: float,
    momentum: float,
    weight_decay: float,
    proximal: float,
) -> None:
    """g = gradient + weight_decay * p + proximal * (p - anchor); m = momentum * m + g; p -= lr * m.

    Updates parameters p and momentum_buffer m in place. Without momentum g takes the place of m
    and momentum_buffer may be empty; without a proximal term anchor may be empty.
    """
    n = len(parameters)
    if len(gradient) != n:
        raise ValueError("parameters and gradient must have the same length")
    if len(momentum_buffer) != n and (momentum != 0 or len(momentum_buffer) != 0):
        raise ValueError("momentum_buffer must have the length of parameters")
    if len(anchor) != n and (proximal != 0 or len(anchor) != 0):
        raise ValueError("anchor must have the length of parameters")
    step = gradient + np.float32(weight_decay) * parameters
    if np.float32(proximal) != 0:
        step = step + np.float32(proximal) * (parameters - anchor)
    if np.float32(momentum) != 0:
        step = np.float32(momentum) * momentum_buffer + step
        momentum_buffer[:] = step
    parameters -= np.float32(lr) * step
