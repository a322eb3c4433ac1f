"""How well a model does on given examples."""

from dataclasses import dataclass

import numpy as np

from fedge.types import Array


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Mean loss over the examples, and the accuracy if answers can be right or wrong.

    The loss is infinite or NaN if the model's is.
    """

    loss: float
    accuracy: float | None
    n_examples: int


def n_right(loss: str, scores: Array, targets: Array) -> int | None:
    """How many targets the scores predict correctly; None if the loss has no right answers.

    Args:
        loss: its name in the manifest.
        scores: (n, n_classes, ..) for cross entropy; logits of the targets' shape for binary
            cross entropy, where above 0 means a probability above one half.
        targets: (n, ..), class indices or probabilities.
    """
    match loss:
        case "cross_entropy":
            return int(np.count_nonzero(scores.argmax(axis=1) == targets))
        case "binary_cross_entropy":
            return int(np.count_nonzero((scores > 0) == (targets > 0.5)))
        case _:
            return None
