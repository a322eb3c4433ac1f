"""How many plain steps a device's steps amount to."""

import functools

from fedge.strategies.algorithms.values import LocalPlan


def effective_steps(n_steps: int, plan: LocalPlan) -> float:
    """The sum of the weights with which a device's gradients are in its delta, over its lr.

    delta = -lr * (weighted sum of the gradients), and without momentum and proximal term each
    weight is 1. Under momentum a gradient moves the model again in every later step; under a
    proximal term its move is partly taken back. A clipped gradient counts as a gradient.

    Source: Wang et al., 2020, arXiv:2007.07481, section 4 (the norm of a_i).
    """
    if not plan.momentum and not plan.proximal:
        return float(n_steps)
    return _response(n_steps, plan.lr, plan.momentum, plan.proximal)


@functools.lru_cache(maxsize=4096)  # the devices of a cohort have few different numbers of steps
def _response(n_steps: int, lr: float, momentum: float, proximal: float) -> float:
    """How far a gradient of -1 in every step moves a parameter, over lr.

    Added up step by step: powers have other bits on other machines.
    """
    moved = speed = 0.0
    for _ in range(n_steps):
        speed = momentum * speed + 1.0 - proximal * lr * moved
        moved += speed
    return moved
