"""The sums of a model over examples, as fields of a message."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fedge.errors import PayloadError
from fedge.messages import wire
from fedge.messages.skim import Kind
from fedge.training.metrics import N_BINS, Form, Sums
from fedge.types import Array

MAX_ANSWERS = 2**53
MAX_MEAN = 1e30  # of losses and absolute errors: sums of their squares are far from the limits
NUMBER_BYTES = 9  # the most that a number takes
_SLACK = 1e-6  # relative: sums of floats are rounded
FIELDS = {"n_examples": Kind.INTEGER, "loss": Kind.NUMBER}
OPTIONAL = {
    "by_class": Kind.LIST,
    "bins": Kind.LIST,
    "squared": Kind.NUMBER,
    "absolute": Kind.NUMBER,
}


def n_counts(form: Form) -> int:
    """How many numbers are in their lists."""
    return 3 * N_BINS + math.prod(form.by_class or (0,))


def written(sums: Sums) -> dict[str, Any]:
    """The fields of these sums.

    `n_examples`, and `loss`, which is the sum over the examples. For numbers, `squared` and
    `absolute`, the sums of the errors. For classes, `bins`, a list of 45 numbers: answers in each
    of 15 bins of confidence, right answers in each, and the sum of the confidences in each; and up
    to 4096 classes `by_class`, a list of integers: the confusion matrix, row by row, for up to 64
    classes, otherwise right answers and all answers of one class after another.
    """
    fields: dict[str, Any] = {"n_examples": int(sums.n_examples), "loss": sums.loss}
    if sums.bins is not None:
        answers, confidence, right = sums.bins
        counts = np.concatenate([answers, right]).astype(np.int64).tolist()
        fields["bins"] = [*counts, *confidence.tolist()]
    if sums.by_class is not None:
        fields["by_class"] = sums.by_class.ravel().tolist()
    if sums.squared is not None:
        fields |= {"squared": sums.squared, "absolute": sums.absolute}
    return fields


def read(fields: Mapping[str, Any], form: Form) -> Sums:
    """The sums in these fields.

    Raises:
        PayloadError: unless examples could have them: all counts add up to the same number.
    """
    most = MAX_ANSWERS // form.n_answers
    n_examples = wire.bounded(fields["n_examples"], 1, most, "evaluation n_examples")
    n_answers = n_examples * form.n_answers
    loss = _number(fields["loss"], -MAX_MEAN * n_examples, MAX_MEAN * n_examples, "loss")
    if form.n_classes is None:
        squared, absolute = _errors(fields, n_answers)
        return Sums(n_examples, n_answers, loss, squared=squared, absolute=absolute)
    bins = _bins(fields.get("bins"), n_answers)
    right = int(bins[2].sum())
    by_class = _by_class(fields.get("by_class"), form, n_answers, right)
    return Sums(n_examples, n_answers, loss, right=right, by_class=by_class, bins=bins)


def _errors(fields: Mapping[str, Any], n_answers: int) -> tuple[float, float]:
    """The mean of squares is at least the square of the mean."""
    absolute = _number(fields.get("absolute"), 0, MAX_MEAN * n_answers, "absolute errors")
    squared = _number(fields.get("squared"), 0, MAX_MEAN**2 * n_answers, "squared errors")
    if squared * (1 + _SLACK) < absolute / n_answers * absolute:
        raise PayloadError(
            "evaluation squared errors", expected="those of the absolute ones", found=squared
        )
    return squared, absolute


def _bins(value: object, n_answers: int) -> Array:
    """As `Sums` has them: answers, sum of confidences, right answers."""
    numbers = _list(value, 3 * N_BINS, "bins")
    answers = _counts(numbers[:N_BINS], n_answers, "bins")
    right = _counts(numbers[N_BINS : 2 * N_BINS], n_answers, "bins")
    if sum(answers) != n_answers:
        raise PayloadError("evaluation bins", expected=f"{n_answers} answers", found=sum(answers))
    if any(a < b for a, b in zip(answers, right, strict=True)):
        raise PayloadError("evaluation bins", expected="right ones among the answers", found="more")
    edges = [place / N_BINS for place in range(N_BINS + 1)]
    confidence = [
        _number(one, (low - _SLACK) * n, (high + _SLACK) * n, "confidences")
        for one, n, low, high in zip(
            numbers[2 * N_BINS :], answers, edges[:-1], edges[1:], strict=True
        )
    ]
    return np.array([answers, confidence, right], np.float64)


def _by_class(value: object, form: Form, n_answers: int, n_right: int) -> Array | None:
    shape = form.by_class
    if shape is None:
        return None
    counts = _counts(_list(value, math.prod(shape), "classes"), n_answers, "classes")
    table = np.array(counts, np.int64).reshape(shape)
    is_crossed = shape[1] == form.n_classes
    n_all = sum(counts) if is_crossed else sum(counts[1::2])
    n_here = int(np.trace(table)) if is_crossed else sum(counts[::2])
    if (n_all, n_here) != (n_answers, n_right):
        raise PayloadError(
            "evaluation classes",
            expected=f"{n_answers} answers, {n_right} of them right",
            found=f"{n_all} and {n_here}",
        )
    if not is_crossed and (table[:, 0] > table[:, 1]).any():
        raise PayloadError(
            "evaluation classes", expected="right ones among the answers", found="more"
        )
    return table


def _list(value: object, size: int, what: str) -> list[Any]:
    found = wire.typed(value, list, f"evaluation {what}")
    if len(found) != size:
        raise PayloadError(f"evaluation {what}", expected=f"{size} numbers", found=len(found))
    return found


def _counts(values: Sequence[object], most: int, what: str) -> list[int]:
    return [wire.bounded(one, 0, most, f"evaluation {what}") for one in values]


def _number(value: object, low: float, high: float, what: str) -> float:
    """The value, if it is a float within these limits, which NaN is not."""
    number = wire.typed(value, float, f"evaluation {what}")
    if not low <= number <= high:
        raise PayloadError(f"evaluation {what}", expected=f"{low:g} to {high:g}", found=number)
    return number
