"""Both engines train whole models in the same way.

A step's gradients differ in the last digits (`test_rules_on_both`), and every step starts where the
last one ended; so after some steps the distance between the engines' results is compared with the
distance they have moved.
"""

import numpy as np
import pytest

from fedge import Artifact, build_artifact
from fedge.builder.check import random_examples
from fedge.training import ArrayData, Plan, Trainer
from fedge.training.engines import ENGINES
from fedge.types import Array
from tests.support import models
from tests.support.networks import NETWORKS, build_network
from tests.support.stored_models import MODELS
from tests.support.tools import data_file

PLAN = Plan(local_steps=30, batch_size=20, lr=0.02, momentum=0.9, proximal=0.01, seed=3)


def examples(artifact: Artifact, n_batches: int = 3) -> ArrayData:
    """Random examples, with indices from 0 to 9 for models that look something up."""
    rng = np.random.default_rng(0)
    parts = [random_examples(artifact.manifest, rng) for _ in range(n_batches)]
    inputs = {name: np.concatenate([p.inputs[name] for p in parts]) for name in parts[0].inputs}
    for array in inputs.values():
        if array.dtype.kind in "iu":
            array[...] = rng.integers(0, 10, array.shape)
    return ArrayData(inputs, np.concatenate([part.targets for part in parts]))


def apart(one: Array, other: Array) -> float:
    return float(np.linalg.norm(one - other) / np.linalg.norm(one))


@pytest.mark.parametrize("name", NETWORKS)
def test_thirty_steps_lead_to_the_same_model(name: str) -> None:
    artifact = build_network(name)
    data = examples(artifact)
    trainers = [Trainer(artifact, engine=engine) for engine in ENGINES]
    first, second = (t.fit(artifact.parameters, data, PLAN) for t in trainers)
    assert np.linalg.norm(first.delta) > 0.1  # they did move
    assert apart(first.delta, second.delta) < 1e-3
    assert second.loss == pytest.approx(first.loss, rel=1e-4)
    there = artifact.parameters.copy()
    there[: artifact.n_trainable] += first.delta
    a, b = (trainer.evaluate(there, data) for trainer in trainers)
    assert b.loss == pytest.approx(a.loss, rel=1e-4)
    assert a.accuracy == b.accuracy


def test_both_engines_drop_the_same_activations() -> None:
    """What is dropped is drawn outside the graph, so no engine has its own rng."""
    artifact = models.dropping(models.linear(n_in=6, batch_size=4), ratio=0.5)
    data = examples(artifact)
    one, two = (Plan(local_steps=5, batch_size=4, lr=0.01, seed=seed) for seed in (1, 2))
    first, second = (
        Trainer(artifact, engine=engine).fit(artifact.parameters, data, one) for engine in ENGINES
    )
    other = Trainer(artifact, engine="reference").fit(artifact.parameters, data, two)
    assert apart(first.delta, second.delta) < 1e-5
    assert apart(first.delta, other.delta) > 1e-2


@pytest.mark.data
@pytest.mark.parametrize(("name", "loss"), MODELS)
def test_a_third_party_model_has_the_same_gradient(name: str, loss: str) -> None:
    assert_same_gradient(build_artifact(data_file(name), loss=loss, batch_size=3))


@pytest.mark.data
def test_a_recurrent_model_trained_in_its_last_layer_has_the_same_gradient() -> None:
    path = data_file("onnx_ref/char_lstm.onnx")
    assert_same_gradient(build_artifact(path, loss="mse", trainable="o.*", batch_size=2))


def assert_same_gradient(artifact: Artifact) -> None:
    """Sums of some thousands of terms, through a dozen layers: about 1e-6 each."""
    data = random_examples(artifact.manifest, np.random.default_rng(0))
    (loss, gradient), (again, found) = (
        Trainer(artifact, engine=engine).loss_and_gradient(
            artifact.parameters, data.inputs, data.targets
        )
        for engine in ENGINES
    )
    assert again == pytest.approx(loss, rel=1e-4)
    assert apart(gradient, found) < 1e-4
