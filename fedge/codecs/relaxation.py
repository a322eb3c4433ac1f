"""Over-relaxed error feedback: a device sends more than the values that it takes.

With error feedback a value is sent when it has waited long enough to be among the largest, so what
arrives is always late. Over-relaxed, a payload is `gain` times the values it was made from, and the
residual keeps the difference: what was sent too much is in it with the opposite sign, and is taken
back if later deltas do not want it. In exchange rounds need not wait. Each participation forgets a
little of the residual before.

Law: let v be decay * residual + delta, q what the codec makes of its largest values, and Q the
decoded payload, which is gain * q up to the rounding of its scales. The residual becomes v - Q.
Where q is the values themselves or their block's mean magnitude, <v, q> is the squared length of q,
and

    |v - gain q|^2 = |v|^2 - gain (2 - gain) |q|^2,

so for a gain of up to 2 the residual is never longer than v, and with a decay below 1 never longer
than the longest delta over 1 - decay. The gains that can be asked for leave room for scales that
are rounded up, by up to 2**-7.

Source: Stich and Karimireddy, 2020, arXiv:1909.05350 (error feedback and its delay).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fedge._kernels.reference.bits import LARGEST_SCALE
from fedge.types import Vector

MOST_GAIN = 1.95
DECAY = 0.95  # of a residual, in each participation
_BF16 = 16  # low bits of a float32 that bf16 lacks
_LARGEST = np.float32(2**127)


@dataclass(frozen=True, slots=True)
class Relaxation:
    """How far ahead to send.

    Attributes:
        gain: what is sent, over what was chosen: 1 to `MOST_GAIN`.
        decay: what is kept of the residual from one participation to the next: up to 1.
    """

    gain: float
    decay: float

    def forget(self, residual: Vector) -> None:
        """Lets the residual decay, in place."""
        if self.decay != 1:
            np.multiply(residual, np.float32(self.decay), out=residual)

    def remember(self, residual: Vector) -> None:
        """Undoes `forget`, up to rounding."""
        if self.decay != 1:
            np.divide(residual, np.float32(self.decay), out=residual)


PLAIN = Relaxation(1.0, 1.0)


def relaxation(gain: float) -> Relaxation:
    """With this gain; 1 is plain error feedback, which forgets nothing."""
    return PLAIN if gain == 1 else Relaxation(gain, DECAY)


def scaled(values: Vector, gain: np.float32) -> Vector:
    """gain * values, within half the range of float32, or the values where they are beyond it."""
    with np.errstate(over="ignore"):
        more: Vector = values * gain
    return np.where(np.abs(more) < _LARGEST, more, values)


def scaled_bf16(scales: npt.NDArray[np.uint16], gain: np.float32) -> npt.NDArray[np.uint16]:
    """gain * scales, rounded up to bf16 as scales are, and no more than the wire allows.

    Args:
        scales: bf16 bits; all are positive.
        gain: 1 or more.
    """
    bits = (as_float32(scales) * gain).view(np.uint32)
    up = (bits + (1 << _BF16) - 1) >> _BF16
    capped: npt.NDArray[np.uint16] = np.minimum(up, LARGEST_SCALE).astype(np.uint16)
    return capped


def as_float32(scales: npt.NDArray[np.uint16]) -> Vector:
    """The values of bf16 bits."""
    return (scales.astype(np.uint32) << _BF16).view(np.float32)
