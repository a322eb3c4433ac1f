"""How good a model is on given examples."""

from dataclasses import dataclass

import numpy as np

from fedge.types import Array


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Mean loss over the examples, and the share of right answers where answers can be right.

    The loss is infinite or NaN where the model's is.
    """

    loss: float
    accuracy: float | None
    n_examples: int


def n_right(loss: str, scores: Array, targets: Array) -> int | None:
    """How many of the targets the scores hit; None for a loss without right answers.

    Args:
        loss: the manifest's name of it.
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
