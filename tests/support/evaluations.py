"""Evaluations of models that follow a script."""

import numpy as np

from fedge.artifact import Artifact
from fedge.messages import EvaluationReport
from fedge.training.metrics import form_of, sums_of
from fedge.types import RoundId


def report_of(artifact: Artifact, round_: int, n: int, right: int, loss: float) -> bytes:
    """So many right answers among n of class 1, each with the same mean loss."""
    form = form_of(artifact.manifest)
    losses = np.full(n, loss, np.float32)
    if form.n_classes is None:
        sums = sums_of(form, losses, np.full((n, 1), loss**0.5), np.zeros((n, 1)))
    else:
        scores = np.zeros((n, form.n_classes), np.float32)
        scores[:right, 1], scores[right:, 0] = 1, 1
        sums = sums_of(form, losses, scores, np.ones(n, np.int64))
    return EvaluationReport(schema=artifact.schema, round=RoundId(round_), sums=sums).to_bytes()
