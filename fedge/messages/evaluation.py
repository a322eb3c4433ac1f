"""What a device reports in an evaluation round: sums over its validation examples."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from fedge.artifact import Manifest
from fedge.artifact.layout import schema_hash
from fedge.errors import PayloadError
from fedge.messages import wire
from fedge.messages.skim import Kind
from fedge.messages.update import MAX_ROUND
from fedge.training.metrics import N_BINS, Form, Sums, form_of
from fedge.types import Array, RoundId

SCHEMA_BYTES = 32
MAX_ANSWERS = 2**53
MAX_MEAN = 1e30  # of losses and absolute errors: sums of their squares are far from the limits
_OVERHEAD = 512  # of the map, its keys, its numbers and the bins
_NUMBER_BYTES = 9  # the most that a number takes
_SLACK = 1e-6  # relative: sums of floats are rounded
_FIELDS = {
    "schema": Kind.OCTETS,
    "round": Kind.INTEGER,
    "n_examples": Kind.INTEGER,
    "loss": Kind.NUMBER,
}
_OPTIONAL = {
    "by_class": Kind.LIST,
    "bins": Kind.LIST,
    "squared": Kind.NUMBER,
    "absolute": Kind.NUMBER,
}
_WHAT = "evaluation"


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationReport:
    """A device's answer to an evaluation round.

    CBOR map: `v`, `schema` (32 bytes), `round`, `n_examples`, `loss`, which is the sum over the
    examples, and what the model's answers allow. For numbers, `squared` and `absolute`, the sums
    of the errors. For classes, `bins`, a list of 45 numbers: answers in each of 15 bins of
    confidence, right answers in each, and the sum of the confidences in each; and up to 4096
    classes `by_class`, a list of integers: the confusion matrix, row by row, for up to 64 classes,
    otherwise right answers and all answers of one class after another.

    It is sent the way an update is. All counts add up to the same number of answers, or it is
    refused.
    """

    schema: bytes
    round: RoundId
    sums: Sums

    def to_bytes(self) -> bytes:
        sums = self.sums
        fields: dict[str, Any] = {
            "v": wire.VERSION,
            "schema": self.schema,
            "round": self.round,
            "n_examples": int(sums.n_examples),
            "loss": sums.loss,
        }
        if sums.bins is not None:
            answers, confidence, right = sums.bins
            counts = np.concatenate([answers, right]).astype(np.int64).tolist()
            fields["bins"] = [*counts, *confidence.tolist()]
        if sums.by_class is not None:
            fields["by_class"] = sums.by_class.ravel().tolist()
        if sums.squared is not None:
            fields |= {"squared": sums.squared, "absolute": sums.absolute}
        return wire.encode(fields)

    @classmethod
    def from_bytes(cls, payload: bytes, manifest: Manifest) -> Self:
        """The sums of a model with this manifest, from bytes.

        Raises:
            PayloadError: unless they are for this model, and examples could have them.
        """
        form = form_of(manifest)
        fields = wire.decode_map(
            payload,
            _WHAT,
            fields=_FIELDS,
            optional=_OPTIONAL,
            max_bytes=max_bytes(manifest),
            max_values=wire.MAX_VALUES + 3 * N_BINS + math.prod(form.by_class or (0,)),
        )
        schema = wire.octets(fields["schema"], SCHEMA_BYTES, "evaluation schema")
        if schema != schema_hash(manifest.layout):
            raise PayloadError("evaluation schema", expected="this model's", found="another")
        most = MAX_ANSWERS // form.n_answers
        n_examples = wire.bounded(fields["n_examples"], 1, most, "evaluation n_examples")
        n_answers = n_examples * form.n_answers
        loss = _number(fields["loss"], -MAX_MEAN * n_examples, MAX_MEAN * n_examples, "loss")
        if form.n_classes is None:
            squared, absolute = _errors(fields, n_answers)
            sums = Sums(n_examples, n_answers, loss, squared=squared, absolute=absolute)
        else:
            bins = _bins(fields.get("bins"), n_answers)
            right = int(bins[2].sum())
            by_class = _by_class(fields.get("by_class"), form, n_answers, right)
            sums = Sums(n_examples, n_answers, loss, right=right, by_class=by_class, bins=bins)
        round_ = wire.bounded(fields["round"], 0, MAX_ROUND, "evaluation round")
        return cls(schema=schema, round=RoundId(round_), sums=sums)


def max_bytes(manifest: Manifest) -> int:
    """The size limit of a report on this model."""
    n_counts = 3 * N_BINS + math.prod(form_of(manifest).by_class or (0,))
    return _OVERHEAD + _NUMBER_BYTES * n_counts


def _errors(fields: dict[str, Any], n_answers: int) -> tuple[float, float]:
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
