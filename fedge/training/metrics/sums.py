"""What a model did on examples, as sums: those of two sets of examples add up to those of both."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from fedge.artifact import Manifest
from fedge.types import Array

N_BINS = 15  # of confidences; Guo et al., 2017, arXiv:1706.04599, use as many
MOST_CROSSED = 64  # classes with a confusion matrix
MOST_COUNTED = 4096  # classes that are counted one by one


@dataclass(frozen=True, slots=True)
class Form:
    """Which sums a model has.

    Attributes:
        n_classes: what an answer is chosen from; None if answers are numbers.
        n_answers: how many an example has.
    """

    n_classes: int | None
    n_answers: int

    @property
    def by_class(self) -> tuple[int, int] | None:
        """Shape of the counts by class: a confusion matrix, or right answers and all answers.

        None if there are too many classes to count one by one, or none at all.
        """
        if self.n_classes is None or self.n_classes > MOST_COUNTED:
            return None
        return self.n_classes, self.n_classes if self.n_classes <= MOST_CROSSED else 2


def form_of(manifest: Manifest) -> Form:
    """The form of what a model's evaluation adds up; a yes or no is a choice between two."""
    n_classes = 2 if manifest.loss == "binary_cross_entropy" else manifest.target.n_classes
    return Form(n_classes, math.prod(manifest.target.shape))


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """Sums over examples; whole numbers unless they have been weighted.

    Attributes:
        n_examples: examples.
        n_answers: answers; the same for most models.
        loss: of all examples together.
        right: right answers; None if answers are numbers.
        by_class: answers by their true class (rows) and the class chosen (columns), or where
            there are too many classes for that, the right ones and all of each class.
        bins: (3, N_BINS): answers by the confidence they were chosen with, the sum of these
            confidences, and how many answers were right. Bin i goes from above i / N_BINS to
            (i + 1) / N_BINS.
        squared: the sum of the squared errors; None if answers are classes.
        absolute: the sum of the absolute errors.
    """

    n_examples: float
    n_answers: float
    loss: float
    right: float | None = None
    by_class: Array | None = None
    bins: Array | None = None
    squared: float | None = None
    absolute: float | None = None

    def __add__(self, other: "Sums") -> "Sums":
        """The sums over the examples of both."""
        return Sums(*(_add(a, b) for a, b in zip(self._parts, other._parts, strict=True)))

    def weighted(self, share: float) -> "Sums":
        """The same with every example counted as this much of one; 1 leaves them as they are."""
        if share == 1:
            return self
        parts: list[Any] = [None if part is None else part * share for part in self._parts]
        return Sums(*parts)

    @property
    def mean_loss(self) -> float:
        return self.loss / self.n_examples

    @property
    def accuracy(self) -> float | None:
        """The share of right answers."""
        return None if self.right is None else self.right / self.n_answers

    @property
    def rmse(self) -> float | None:
        """Root of the mean squared error, in the units of the targets."""
        return None if self.squared is None else math.sqrt(self.squared / self.n_answers)

    @property
    def mae(self) -> float | None:
        """Mean absolute error, in the units of the targets."""
        return None if self.absolute is None else self.absolute / self.n_answers

    @property
    def calibration_error(self) -> float | None:
        """How far confidence and accuracy are apart, on average over the answers' bins.

        Source: Guo et al., 2017, arXiv:1706.04599, equation 3.
        """
        if self.bins is None:
            return None
        _, confidence, right = self.bins
        return float(np.abs(right - confidence).sum()) / self.n_answers

    @property
    def _parts(self) -> tuple[Any, ...]:
        return (self.n_examples, self.n_answers, self.loss, self.right, self.by_class, self.bins,
                self.squared, self.absolute)  # fmt: skip


def _add(a: Any, b: Any) -> Any:
    return None if a is None or b is None else a + b
