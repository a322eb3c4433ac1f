"""Whether a claimed slope of the loss matches the one measured, by differences in float64."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from fedge.artifact import Slot
from fedge.builder.check.witness import Witness
from fedge.types import Array

Verdict = Literal["right", "wrong", "none"]

TOLERANCE = 0.003  # of the slope
# On the first step the loss's rounding makes up this share of the tolerance. It is as short as
# possible, because a longer one crosses more corners of Relu. The slope must agree on one of these
# multiples of it; at a hundred times and more, corners hid an error of 1 % in a SqueezeNet.
_ROUNDING_SHARE = 0.03
_STEPS = (1, 10, 0.1)
_REACH = 0.3  # the longest step, relative to the size of the parameters that move


@dataclass(frozen=True, slots=True)
class Slope:
    """Along one direction: what the gradient claims, what was measured, and whether they agree.

    The verdict is "none" if both are too small to show in the loss's last digits.
    """

    claimed: float
    measured: float
    verdict: Verdict


def compare(witness: Witness, slot: Slot, own: Array, way: Array, scale: float) -> Slope:
    """The slope along a direction within one slot.

    Args:
        witness: the loss.
        slot: which parameter moves.
        own: its gradient, in its shape.
        way: the direction, in its shape; any length but 0.
        scale: typical size of the parameter's values.
    """
    claimed = float(np.vdot(own, way))
    reach = _REACH * scale * float(np.linalg.norm(way) / np.linalg.norm(way**2))
    if abs(claimed) * reach * TOLERANCE <= 2 * witness.rounding:
        return _compare_faint(witness, slot, way, claimed, reach)
    first = witness.rounding / (abs(claimed) * TOLERANCE * _ROUNDING_SHARE)
    measured = (witness.loss_at({slot.name: first * way}) - witness.loss) / first
    if _agree(claimed, measured):  # most do, and the other side would cost the same again
        return Slope(claimed, measured, "right")
    for step in dict.fromkeys(min(each * first, reach) for each in _STEPS):
        measured = _difference(witness, slot, step * way) / (2 * step)
        if _agree(claimed, measured):
            return Slope(claimed, measured, "right")
    return Slope(claimed, measured, "wrong")


def _agree(claimed: float, measured: float) -> bool:
    return abs(measured - claimed) <= TOLERANCE * max(abs(claimed), abs(measured))


def _compare_faint(witness: Witness, slot: Slot, way: Array, claimed: float, reach: float) -> Slope:
    """If the gradient claims less than can be measured, the slope must not be larger."""
    measured = 0.0
    for step in (reach, reach / 10, reach / 100):
        change = _difference(witness, slot, step * way)
        measured = change / (2 * step)
        if abs(change) * TOLERANCE <= 4 * witness.rounding:
            return Slope(claimed, measured, "none")
    return Slope(claimed, measured, "wrong")


def _difference(witness: Witness, slot: Slot, step: Array) -> float:
    return witness.loss_at({slot.name: step}) - witness.loss_at({slot.name: -step})
