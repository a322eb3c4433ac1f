"""Evaluations of models that follow a script."""

import numpy as np

from fedge.artifact import Artifact
from fedge.messages import EvaluationReport
from fedge.training.metrics import Sums, form_of, sums_of
from fedge.types import RoundId


def report_of(
    artifact: Artifact,
    round_: int,
    n: int,
    right: int,
    loss: float,
    personal: tuple[int, float] | None = None,
) -> bytes:
    """So many right answers among n of class 1, each with the same mean loss.

    Args:
        artifact: the model.
        round_: that asks.
        n: examples.
        right: answers of the global model.
        loss: its mean.
        personal: the same two of the device's own model.
    """
    report = EvaluationReport(
        schema=artifact.schema,
        round=RoundId(round_),
        sums=_sums(artifact, n, right, loss),
        personal=None if personal is None else _sums(artifact, n, *personal),
    )
    return report.to_bytes()


def _sums(artifact: Artifact, n: int, right: int, loss: float) -> Sums:
    form = form_of(artifact.manifest)
    losses = np.full(n, loss, np.float32)
    if form.n_classes is None:
        return sums_of(form, losses, np.full((n, 1), loss**0.5), np.zeros((n, 1)))
    scores = np.zeros((n, form.n_classes), np.float32)
    scores[:right, 1], scores[right:, 0] = 1, 1
    return sums_of(form, losses, scores, np.ones(n, np.int64))
