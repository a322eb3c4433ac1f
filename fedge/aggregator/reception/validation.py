"""Checks every update before it is accepted: everything that aggregation relies on."""

import math
from dataclasses import dataclass

from fedge import codecs
from fedge.artifact import Artifact
from fedge.errors import PayloadError
from fedge.messages import EvaluationReport, Reason, RoundKind, StatisticsReport
from fedge.types import RoundId


class RefusedError(Exception):
    """An update is refused: the reason sent to its device, and a sentence."""

    def __init__(self, reason: Reason, detail: str) -> None:
        self.reason, self.detail = reason, detail
        super().__init__(detail)


@dataclass(frozen=True, slots=True)
class Checked:
    """Facts about a valid update; the norm is of a delta, and None for anything else."""

    n_examples: int
    norm: float | None = None


def check_update(
    payload: bytes, artifact: Artifact, round_: RoundId, kind: str, *, max_examples: int
) -> Checked:
    """Check an update and return what is needed to count it.

    Raises:
        RefusedError: if its bytes are damaged, made for another model or another round, hold
            values that are not finite, or claim more examples than a device may have.
    """
    try:
        if kind == RoundKind.STATISTICS:
            found = _check_statistics(payload, artifact, round_)
        elif kind == RoundKind.EVALUATION:
            found = _check_evaluation(payload, artifact, round_)
        else:
            found = _check_delta(payload, artifact, round_)
    except PayloadError as error:
        raise RefusedError(Reason.PAYLOAD, str(error)) from error
    if found.n_examples > max_examples:
        raise RefusedError(
            Reason.PAYLOAD, f"examples: expected at most {max_examples}, found {found.n_examples}"
        )
    return found


def _check_statistics(payload: bytes, artifact: Artifact, round_: RoundId) -> Checked:
    report = StatisticsReport.from_bytes(payload, artifact.manifest)
    _check_round(report.round, round_)
    return Checked(report.n_examples)


def _check_evaluation(payload: bytes, artifact: Artifact, round_: RoundId) -> Checked:
    report = EvaluationReport.from_bytes(payload, artifact.manifest)
    _check_round(report.round, round_)
    return Checked(int(report.sums.n_examples))


def _check_delta(payload: bytes, artifact: Artifact, round_: RoundId) -> Checked:
    header = codecs.read_header(payload)
    if header.schema != artifact.schema[:4]:
        raise RefusedError(
            Reason.SCHEMA,
            f"made for model {header.schema.hex()}, this is {artifact.schema[:4].hex()}",
        )
    _check_round(header.round, round_)
    if header.n_params != artifact.n_trainable:
        raise PayloadError(
            "payload parameters", expected=artifact.n_trainable, found=header.n_params
        )
    # Decoded once before it is stored, so that it can be counted when the round closes.
    norm = codecs.decode_body(header, payload).norm
    if not math.isfinite(norm):
        raise PayloadError("payload values", expected="finite numbers", found="NaN or infinity")
    return Checked(header.n_examples, norm)


def _check_round(found: int, expected: RoundId) -> None:
    if found != expected:
        raise PayloadError("payload round", expected=expected, found=found)
