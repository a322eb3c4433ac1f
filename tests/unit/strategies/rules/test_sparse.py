"""Coordinate rules learn from sparse updates: a small federation, with real payloads."""

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest

from fedge import codecs, strategies
from fedge.strategies import Cohort, Mean
from fedge.strategies.robust import coordinate_median
from fedge.training import ArrayData, Plan, Trainer
from fedge.types import Vector
from tests.support.cohorts import of_payloads
from tests.support.models import softmax

N_DEVICES, N_IN, N_CLASSES, ROUNDS = 10, 100, 10, 30
Combine = Callable[[Cohort], Vector]


def zero_votes(cohort: Cohort) -> Vector:
    """What a median is if everybody who did not send a parameter votes for zero."""
    return coordinate_median(cohort.deltas.columns(0, cohort.deltas.n_params))


@cache
def examples() -> tuple[list[ArrayData], ArrayData]:
    """Ten clouds around ten centres, that a linear model can tell apart; every device has all."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(N_CLASSES, N_IN))

    def drawn(n: int) -> ArrayData:
        y = rng.integers(0, N_CLASSES, n)
        x = centres[y] + rng.normal(size=(n, N_IN))
        return ArrayData({"x": x.astype(np.float32)}, y)

    return [drawn(40) for _ in range(N_DEVICES)], drawn(1000)


def play(combine: Combine, codec_spec: str) -> float:
    """The accuracy on new examples after all rounds."""
    artifact, codec = softmax(n_in=N_IN, n_out=N_CLASSES, batch_size=20), codecs.get(codec_spec)
    trainer, (devices, test) = Trainer(artifact), examples()
    parameters = artifact.parameters.copy()
    residuals = [np.zeros(artifact.n_trainable, np.float32) for _ in devices]
    for round_ in range(ROUNDS):
        payloads = []
        for number, (data, residual) in enumerate(zip(devices, residuals, strict=True)):
            plan = Plan(lr=0.2, batch_size=20, seed=100 * round_ + number)
            delta = trainer.fit(parameters, data, plan).delta
            rng = np.random.default_rng(round_)
            payloads.append(codec.encode(delta, residual, rng))
        delta = combine(of_payloads(payloads, artifact.n_trainable))
        parameters[: artifact.n_trainable] += delta
    accuracy = trainer.evaluate(parameters, test).accuracy
    assert accuracy is not None
    return accuracy


SPECS = (
    *("median", "trimmed_mean:f=2", "meamed:f=2", "nnm+trimmed_mean:f=2"),
    *("bucketing:s=2+median", "multi_krum:f=2", "geometric_median"),
)


@pytest.mark.parametrize("codec", ["topk:0.01/sign", "topk:0.01/float32"])
def test_at_a_hundredth_kept_robust_rules_learn_as_a_mean_does(codec: str) -> None:
    """Chance is a tenth, and that is where votes for zero by who did not send leave the model."""
    learnt = play(Mean().combine, codec)
    assert learnt > 0.9
    for spec in SPECS:
        assert play(strategies.get(spec).rule.combine, codec) > learnt - 0.05, spec
    assert play(zero_votes, codec) < 0.2


def test_alone_at_a_parameter_a_device_moves_it_as_far_as_in_a_mean() -> None:
    """Nine tenths of the cohort are silent there, so a tenth of what it says is what counts."""
    codec, rng = codecs.get("topk:0.25/float32"), np.random.default_rng(0)
    rows = [[1.0, 0, 0, 0]] * 9 + [[0, 0, 0, -30.0]]
    payloads = [codec.encode(np.array(row, np.float32), None, rng) for row in rows]
    for spec in ("mean", "median", "trimmed_mean:f=3", "meamed:f=3"):
        got = strategies.get(spec).rule.combine(of_payloads(payloads, 4))
        np.testing.assert_allclose(got, [0.9, 0, 0, -3], rtol=1e-6)
    mixed = strategies.get("nnm+trimmed_mean:f=3").rule.combine(of_payloads(payloads, 4))
    np.testing.assert_allclose(mixed, [1, 0, 0, 0], rtol=1e-6)  # nobody near it agrees
