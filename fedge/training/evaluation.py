"""How well a model does on given examples."""

import math
from dataclasses import dataclass
from typing import Any

from fedge.training.metrics import Sums
from fedge.types import Array


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Means over the examples; None for what the model's kind of answer does not have.

    They are infinite or NaN if the model's loss or scores are.

    Attributes:
        loss: mean over the examples.
        accuracy: share of right answers, for classes.
        n_examples: how many there were.
        calibration_error: expected calibration error, for classes, see `Sums.calibration_error`.
        confusion: answers by true class (rows) and chosen class (columns), for up to 64 classes;
            above that, right ones and all answers of each class; None above 4096 classes.
        calibration: for classes, a row for each bin of confidences: answers, the sum of their
            confidences, right answers.
        rmse: root of the mean squared error, for numbers, in the units of the targets.
        mae: mean absolute error, likewise.
    """

    loss: float
    accuracy: float | None
    n_examples: int
    calibration_error: float | None = None
    confusion: tuple[tuple[float, ...], ...] | None = None
    calibration: tuple[tuple[float, ...], ...] | None = None
    rmse: float | None = None
    mae: float | None = None

    @classmethod
    def of(cls, sums: Sums) -> "Evaluation":
        """The means of these sums."""
        return cls(
            loss=sums.mean_loss,
            accuracy=sums.accuracy,
            n_examples=int(sums.n_examples),
            calibration_error=sums.calibration_error,
            confusion=_rows(sums.by_class),
            calibration=None if sums.bins is None else _rows(sums.bins.T),
            rmse=sums.rmse,
            mae=sums.mae,
        )

    def facts(self) -> dict[str, Any]:
        """Everything that it has, for JSON: a number that is not finite becomes None."""
        numbers = {
            "loss": self.loss,
            "accuracy": self.accuracy,
            "calibration_error": self.calibration_error,
            "rmse": self.rmse,
            "mae": self.mae,
        }
        found: dict[str, Any] = {"examples": self.n_examples}
        found |= {name: finite(one) for name, one in numbers.items() if one is not None}
        if self.confusion is not None:
            found["confusion"] = [list(row) for row in self.confusion]
        if self.calibration is not None:
            found["calibration"] = [[finite(one) for one in row] for row in self.calibration]
        return found


def finite(value: float | None) -> float | None:
    """The number, if it is one that JSON and SQLite can hold."""
    return value if value is not None and math.isfinite(value) else None


def _rows(array: Array | None) -> tuple[tuple[float, ...], ...] | None:
    return None if array is None else tuple(tuple(row) for row in array.tolist())
