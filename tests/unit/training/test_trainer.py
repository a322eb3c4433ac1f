"""Local training against calculations by hand."""

import dataclasses
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedge.errors import DataError, TrainingError
from fedge.training import ArrayData, Plan, Trainer
from fedge.types import Array, Update, Vector
from tests.support import models


def regression(n: int, n_in: int = 2, n_out: int = 1, seed: int = 0) -> ArrayData:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, n_in)).astype(np.float32)
    y = x @ rng.normal(size=(n_in, n_out)) + rng.normal(size=(n, n_out))
    return ArrayData({"x": x}, y.astype(np.float32))


def mse_by_hand(parameters: Vector, x: Array, y: Array) -> tuple[float, Array]:
    """Mean over examples and outputs of (x @ w + b - y)^2, and its gradient, in float64."""
    n_in, n_out = x.shape[1], y.shape[1]
    w = parameters[: n_in * n_out].reshape(n_in, n_out).astype(np.float64)
    d = x @ w + parameters[n_in * n_out :] - y
    slope = 2 * d / d.size
    return float((d**2).mean()), np.concatenate([(x.T @ slope).ravel(), slope.sum(0)])


class Stream:
    """A caller's own source, which cannot be checked as a whole."""

    def __init__(self, inputs: dict[str, Array], targets: Array) -> None:
        self.inputs, self.targets, self.n_examples = inputs, targets, len(targets)

    def batch(self, indices: Array) -> tuple[dict[str, Array], Array]:
        return {name: array[indices] for name, array in self.inputs.items()}, self.targets[indices]


def one_step(trainer: Trainer, parameters: Vector, data: ArrayData, **plan: Any) -> Vector:
    """The parameters after one full-batch step."""
    settings = {"local_steps": 1, "batch_size": data.n_examples} | plan
    return parameters + trainer.fit(parameters, data, Plan(**settings)).delta


def test_the_worked_example() -> None:
    """w = (1, 2), b = 3: y = 6 and 2 for targets 5 and 4, so the loss is (1 + 4) / 2."""
    trainer = Trainer(models.linear())
    inputs = {"x": np.array([[1, 1], [-1, 0]], np.float32)}
    parameters = np.array([1, 2, 3], np.float32)
    loss, gradient = trainer.loss_and_gradient(parameters, inputs, np.array([[5], [4]], np.float32))
    assert loss == 2.5
    assert gradient.tolist() == [3, 1, -1]  # (1 * 1 - 2 * -1, 1 * 1 - 2 * 0, 1 - 2)
    assert gradient.dtype == np.float32


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 13), st.integers(1, 3), st.integers(1, 3), st.integers(1, 5))
def test_loss_and_gradient_are_the_means_for_every_batch_size(
    n: int, n_in: int, n_out: int, batch_size: int
) -> None:
    """Short batches are padded and long ones split into micro-batches, with no visible effect."""
    artifact = models.linear(n_in, n_out, batch_size)
    data = regression(n, n_in, n_out)
    loss, gradient = Trainer(artifact).loss_and_gradient(
        artifact.parameters, data.inputs, data.targets
    )
    want_loss, want = mse_by_hand(artifact.parameters, data.inputs["x"], data.targets)
    assert loss == pytest.approx(want_loss, rel=1e-5)
    np.testing.assert_allclose(gradient, want, rtol=1e-4, atol=1e-5)


def test_a_padded_batch_gives_the_gradient_of_an_exact_one() -> None:
    data = regression(3)
    exact, padded = models.linear(batch_size=3), models.linear(batch_size=8)
    a = Trainer(exact).loss_and_gradient(exact.parameters, data.inputs, data.targets)
    b = Trainer(padded).loss_and_gradient(exact.parameters, data.inputs, data.targets)
    assert a[0] == pytest.approx(b[0], rel=1e-6)
    np.testing.assert_allclose(a[1], b[1], rtol=1e-6)


def test_the_returned_gradient_belongs_to_the_caller() -> None:
    artifact, data = models.linear(), regression(3)
    trainer = Trainer(artifact)
    _, first = trainer.loss_and_gradient(artifact.parameters, data.inputs, data.targets)
    kept = first.copy()
    trainer.loss_and_gradient(artifact.parameters + 1, data.inputs, data.targets)
    np.testing.assert_array_equal(first, kept)


def test_training_reaches_the_least_squares_solution() -> None:
    data = regression(40, n_in=3, n_out=2)
    artifact = models.linear(n_in=3, n_out=2, batch_size=8)
    plan = Plan(local_steps=300, batch_size=40, lr=0.3, momentum=0.5)
    update = Trainer(artifact).fit(artifact.parameters, data, plan)
    design = np.hstack([data.inputs["x"], np.ones((40, 1))])
    want, *_ = np.linalg.lstsq(design, data.targets, rcond=None)
    np.testing.assert_allclose(artifact.parameters + update.delta, want.ravel(), atol=1e-5)
    assert (update.n_examples, update.n_steps) == (40, 300)
    assert update.delta.dtype == np.float32


def test_only_trainable_parameters_move() -> None:
    artifact, data = models.linear(train_bias=False), regression(4)
    update = Trainer(artifact).fit(artifact.parameters, data, Plan(batch_size=4, lr=0.1))
    _, gradient = mse_by_hand(artifact.parameters, data.inputs["x"], data.targets)
    assert update.delta.shape == (2,)
    np.testing.assert_allclose(update.delta, -0.1 * gradient[:2], rtol=1e-5)


def test_weight_decay_and_proximal_term_by_hand() -> None:
    """Two steps: the proximal term is zero in the first and pulls back in the second."""
    artifact, data = models.linear(), regression(6)
    x, y = data.inputs["x"], data.targets
    plan = Plan(local_steps=2, batch_size=6, lr=0.1, weight_decay=0.5, proximal=0.25)
    p0 = artifact.parameters.astype(np.float64)
    p1 = p0 - 0.1 * (mse_by_hand(p0, x, y)[1] + 0.5 * p0)
    p2 = p1 - 0.1 * (mse_by_hand(p1, x, y)[1] + 0.5 * p1 + 0.25 * (p1 - p0))
    update = Trainer(artifact).fit(artifact.parameters, data, plan)
    np.testing.assert_allclose(update.delta, p2 - p0, rtol=1e-4)


def test_momentum_by_hand_and_reset_in_every_round() -> None:
    artifact, data = models.linear(), regression(6)
    x, y = data.inputs["x"], data.targets
    p0 = artifact.parameters.astype(np.float64)
    m1 = mse_by_hand(p0, x, y)[1]
    p1 = p0 - 0.1 * m1
    p2 = p1 - 0.1 * (0.5 * m1 + mse_by_hand(p1, x, y)[1])
    trainer, plan = Trainer(artifact), Plan(local_steps=2, batch_size=6, lr=0.1, momentum=0.5)
    for _ in range(2):
        update = trainer.fit(artifact.parameters, data, plan)
        np.testing.assert_allclose(update.delta, p2 - p0, rtol=1e-4)


@pytest.mark.parametrize(("clip_norm", "length"), [(0.5, 0.05), (1e6, None)])
def test_only_long_gradients_are_clipped(clip_norm: float, length: float | None) -> None:
    artifact, data = models.linear(), regression(6)
    _, gradient = mse_by_hand(artifact.parameters, data.inputs["x"], data.targets)
    plan = Plan(local_steps=1, batch_size=6, lr=0.1, clip_norm=clip_norm)
    delta = Trainer(artifact).fit(artifact.parameters, data, plan).delta
    if length is not None:
        assert np.linalg.norm(delta) == pytest.approx(length, rel=1e-5)
    scale = 0.1 if length is None else length / np.linalg.norm(gradient)
    np.testing.assert_allclose(delta, -scale * gradient, rtol=1e-4)


def test_a_correction_is_added_after_clipping_and_pulled_back_by_the_proximal_term() -> None:
    artifact, data = models.linear(), regression(6)
    _, gradient = mse_by_hand(artifact.parameters, data.inputs["x"], data.targets)
    correction = np.linspace(-1, 1, gradient.size, dtype=np.float32)
    plan = Plan(local_steps=1, batch_size=6, lr=0.1, clip_norm=0.01)
    delta = Trainer(artifact).fit(artifact.parameters, data, plan, correction).delta
    clipped = 0.01 * gradient / np.linalg.norm(gradient)
    np.testing.assert_allclose(delta, -0.1 * (clipped + correction), rtol=1e-4)
    pulled = Plan(local_steps=2, batch_size=6, lr=0.1, clip_norm=1e-9, proximal=2.0)
    delta = Trainer(artifact).fit(artifact.parameters, data, pulled, correction).delta
    np.testing.assert_allclose(delta, -0.1 * (1 + 0.8) * correction, rtol=1e-4, atol=1e-6)


def test_clipping_applies_to_the_whole_batch_not_its_parts() -> None:
    data = regression(8)
    deltas = []
    for size in (8, 3):
        artifact = models.linear(batch_size=size)
        plan = Plan(batch_size=8, clip_norm=0.1)
        deltas.append(Trainer(artifact).fit(artifact.parameters, data, plan).delta)
    np.testing.assert_allclose(deltas[0], deltas[1], rtol=1e-4)


def test_steps_report_the_loss_before_each_step() -> None:
    artifact, data = models.linear(), regression(6)
    trainer = Trainer(artifact)
    reports, update = drain(trainer, artifact.parameters, data, Plan(epochs=3, batch_size=6))
    assert [(report.step, report.n_steps) for report in reports] == [(1, 3), (2, 3), (3, 3)]
    want, gradient = mse_by_hand(artifact.parameters, data.inputs["x"], data.targets)
    assert reports[0].loss == pytest.approx(want, rel=1e-5)
    assert reports[0].gradient_norm == pytest.approx(np.linalg.norm(gradient), rel=1e-5)
    assert update.loss == pytest.approx(np.mean([report.loss for report in reports]))


def drain(
    trainer: Trainer, parameters: Vector, data: ArrayData, plan: Plan
) -> tuple[list[Any], Update]:
    reports = []
    steps = trainer.steps(parameters, data, plan)
    while True:
        try:
            reports.append(next(steps))
        except StopIteration as end:
            return reports, end.value


def test_the_same_seed_gives_the_same_bits_and_another_seed_others() -> None:
    artifact, data = models.linear(), regression(20)
    trainer = Trainer(artifact)
    deltas = [
        trainer.fit(artifact.parameters, data, Plan(batch_size=3, seed=seed)).delta.tobytes()
        for seed in (5, 5, 6)
    ]
    assert deltas[0] == deltas[1] != deltas[2]


def test_evaluation_is_allowed_between_two_steps() -> None:
    artifact, data = models.linear(), regression(20)
    trainer, plan = Trainer(artifact), Plan(batch_size=3)
    want = trainer.fit(artifact.parameters, data, plan)
    steps = trainer.steps(artifact.parameters, data, plan)
    for _ in range(plan.n_steps(20)):
        next(steps)
        trainer.evaluate(artifact.parameters + 1, data)
    with pytest.raises(StopIteration) as end:
        next(steps)
    np.testing.assert_array_equal(end.value.value.delta, want.delta)


def test_two_local_rounds_at_once_are_refused_and_closing_one_frees_the_trainer() -> None:
    artifact, data = models.linear(), regression(20)
    trainer = Trainer(artifact)
    steps = trainer.steps(artifact.parameters, data, Plan())
    next(steps)
    with pytest.raises(RuntimeError, match="in the middle"):
        trainer.fit(artifact.parameters, data, Plan())
    with pytest.raises(RuntimeError, match="in the middle"):
        trainer.loss_and_gradient(artifact.parameters, data.inputs, data.targets)
    steps.close()
    trainer.fit(artifact.parameters, data, Plan())


@pytest.mark.parametrize("start", [1.0, 1e25])  # diverges after some steps, or at the first
@pytest.mark.parametrize("batch_size", [2, 8])  # several micro-batches, or one
def test_divergence_is_an_error_and_leaves_the_callers_parameters(
    start: float, batch_size: int
) -> None:
    artifact, data = models.linear(batch_size=batch_size), regression(8)
    parameters = np.full(3, start, np.float32)
    plan = Plan(local_steps=200, batch_size=8, lr=1e3)
    with pytest.raises(TrainingError, match="diverged at step"):
        Trainer(artifact).fit(parameters, data, plan)
    np.testing.assert_array_equal(parameters, np.full(3, start, np.float32))


def test_a_last_step_that_overflows_is_an_error_too() -> None:
    artifact, data = models.linear(), regression(8)
    parameters = np.full(3, 1e18, np.float32)
    trainer, plan = Trainer(artifact), Plan(local_steps=1, batch_size=8, lr=1e3, weight_decay=1e3)
    with pytest.raises(TrainingError, match="diverged"):
        trainer.fit(parameters, data, plan)


def test_training_without_examples_is_refused() -> None:
    artifact, nothing = models.linear(), regression(0)
    trainer = Trainer(artifact)
    with pytest.raises(DataError, match="at least one"):
        trainer.fit(artifact.parameters, nothing, Plan())
    with pytest.raises(DataError, match="at least one"):
        trainer.evaluate(artifact.parameters, nothing)
    with pytest.raises(DataError, match="at least one"):
        trainer.loss_and_gradient(artifact.parameters, nothing.inputs, nothing.targets)


@pytest.mark.parametrize(
    ("inputs", "targets"),
    [
        ({"x": np.zeros((4, 3), np.float32)}, np.zeros((4, 1), np.float32)),
        ({"x": np.zeros((4, 2), np.complex64)}, np.zeros((4, 1), np.float32)),
        ({"z": np.zeros((4, 2), np.float32)}, np.zeros((4, 1), np.float32)),
        ({"x": np.zeros((4, 2), np.float32)}, np.zeros(4, np.float32)),
    ],
)
def test_a_source_that_returns_wrong_arrays_is_refused(
    inputs: dict[str, Array], targets: Array
) -> None:
    artifact = models.linear()
    with pytest.raises(DataError):
        Trainer(artifact).fit(artifact.parameters, Stream(inputs, targets), Plan())


def test_parameters_of_another_length_are_a_callers_mistake() -> None:
    with pytest.raises(ValueError, match="parameters"):
        Trainer(models.linear()).fit(np.zeros(2, np.float32), regression(4), Plan())


def classes(n: int) -> ArrayData:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(n, 2)).astype(np.float32)
    return ArrayData({"x": x}, rng.integers(0, 3, n))


@pytest.mark.parametrize("n", [1, 4, 6])
def test_padding_the_last_batch_does_not_affect_the_evaluation(n: int) -> None:
    artifact, data = models.softmax(batch_size=4), classes(n)
    found = Trainer(artifact).evaluate(artifact.parameters, data)
    w, b = artifact.parameters[:6].reshape(2, 3).astype(np.float64), artifact.parameters[6:]
    scores = data.inputs["x"] @ w + b
    log_p = scores - np.log(np.exp(scores).sum(1, keepdims=True))
    assert found.loss == pytest.approx(-log_p[np.arange(n), data.targets].mean(), rel=1e-5)
    assert found.accuracy == np.mean(scores.argmax(1) == data.targets)
    assert found.n_examples == n


def test_regression_has_no_accuracy() -> None:
    artifact, data = models.linear(), regression(5)
    found = Trainer(artifact).evaluate(artifact.parameters, data)
    want, _ = mse_by_hand(artifact.parameters, data.inputs["x"], data.targets)
    assert found.accuracy is None
    assert found.loss == pytest.approx(want, rel=1e-5)


def test_binary_scores_are_right_if_on_their_targets_side_of_zero() -> None:
    """The scores are logits, so above 0 means a probability above one half."""
    linear = models.linear(n_in=2, n_out=1)
    manifest = dataclasses.replace(linear.manifest, loss="binary_cross_entropy")
    artifact = dataclasses.replace(linear, manifest=manifest)
    x = np.array([[0.2, 0], [-0.2, 0], [3, 0], [-3, 0]], np.float32)
    data = ArrayData({"x": x}, np.array([[1], [1], [0], [0]], np.float32))
    parameters = np.array([1, 0, 0], np.float32)
    assert Trainer(artifact).evaluate(parameters, data).accuracy == 0.5


def test_softmax_gradient_is_probability_minus_one_hot() -> None:
    artifact, data = models.softmax(batch_size=4), classes(6)
    _, gradient = Trainer(artifact).loss_and_gradient(
        artifact.parameters, data.inputs, data.targets
    )
    w, b = artifact.parameters[:6].reshape(2, 3).astype(np.float64), artifact.parameters[6:]
    odds = np.exp(data.inputs["x"] @ w + b)
    slope = (odds / odds.sum(1, keepdims=True) - np.eye(3)[data.targets]) / 6
    want = np.concatenate([(data.inputs["x"].T @ slope).ravel(), slope.sum(0)])
    np.testing.assert_allclose(gradient, want, rtol=1e-4, atol=1e-6)


def test_a_step_allocates_nothing_the_size_of_the_model() -> None:
    artifact = models.linear(n_in=20_000, n_out=10, batch_size=1)
    data = regression(3, n_in=20_000, n_out=10)
    plan = Plan(epochs=3, batch_size=1, lr=1e-6, momentum=0.5, proximal=0.1, clip_norm=1.0)
    steps = Trainer(artifact).steps(artifact.parameters, data, plan)
    next(steps)
    tracemalloc.start()
    next(steps)
    next(steps)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < artifact.n_params * 4 / 4  # bytes; one example is a tenth of the parameters


@pytest.mark.parametrize("source", [Stream, ArrayData])
def test_nan_in_the_examples_is_not_blamed_on_the_learning_rate(source: Any) -> None:
    artifact = models.linear(n_in=2)
    x, y = np.ones((8, 2), np.float32), np.zeros((8, 1), np.float32)
    x[:, 1] = np.nan
    with pytest.raises(DataError, match="NaN in feature 1 in 8 of 8 rows"):
        Trainer(artifact).fit(
            artifact.parameters, source({"x": x}, y), Plan(local_steps=2, batch_size=8, lr=0.1)
        )


def test_labels_out_of_range_are_refused_in_training_and_evaluation() -> None:
    artifact = models.softmax(n_in=2, n_out=3)
    data = ArrayData({"x": np.ones((4, 2), np.float32)}, np.array([0, 1, 2, 3]))
    trainer = Trainer(artifact)
    for use in (
        lambda: trainer.fit(artifact.parameters, data, Plan(local_steps=1, batch_size=4, lr=0.1)),
        lambda: trainer.evaluate(artifact.parameters, data),
    ):
        with pytest.raises(DataError, match="labels: expected 0 to 2, found 3 in 1 of 4 rows"):
            use()
