"""The result of a check."""

from dataclasses import dataclass

import numpy as np

from fedge.builder.check.slopes import Verdict

_OUTPUT_TOLERANCE = 1e-4  # of the largest score


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotCheck:
    """The gradient of one parameter compared with the slope of the loss.

    Attributes:
        name: of the slot.
        shape: of the slot.
        claimed: norm of the gradient in float64, which is the slope in some direction.
        measured: the loss's slope in that direction.
        float32_error: norm of the difference between onnxruntime's gradient and float64's.
        verdict: "right", "wrong", or "none": no gradient arrives here, rightly.
    """

    name: str
    shape: tuple[int, ...]
    claimed: float
    measured: float
    float32_error: float
    verdict: Verdict

    @property
    def is_right(self) -> bool:
        return self.verdict != "wrong"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckReport:
    """The findings. Hashes and layout were verified when the artifact was read."""

    loss: float  # mean over the examples, at the artifact's own parameters
    gradient_norm: float  # at the same parameters
    slots: tuple[SlotCheck, ...]
    inference_error: float  # batched scores against inference, relative to the largest

    @property
    def is_right(self) -> bool:
        same_scores = self.inference_error <= _OUTPUT_TOLERANCE
        is_finite = bool(np.isfinite([self.loss, self.gradient_norm]).all())
        return is_finite and same_scores and all(slot.is_right for slot in self.slots)
