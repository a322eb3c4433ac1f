"""Standardisation in the graph: mean 0, deviation 1, and 0 for missing values."""

import numpy as np
import onnx
import pytest

from fedge.builder import build_artifact
from fedge.errors import ModelError
from fedge.training import ArrayData, Trainer
from tests.support.onnx_runs import run_onnxruntime
from tests.support.onnx_texts import model_of, perceptron


def test_given_means_and_deviations_standardise_and_fill_in_missing_values() -> None:
    model = model_of("y = Mul(x, w)", outputs="float[N, 4] y", w=np.ones(4))
    mean, std = [1, 2, 3, 4], [2, 4, 0.5, 0]
    artifact = build_artifact(model, loss="mse", standardize={"x": (mean, std)})
    x = np.array([[5, 2, np.nan, 9], [1, np.nan, 4, np.nan]], np.float32)
    exported = onnx.load_from_string(artifact.to_onnx(artifact.parameters))
    (found,) = run_onnxruntime(exported, {"x": x})
    np.testing.assert_array_equal(found, [[2, 0, 0, 0], [0, 0, 2, 0]])


def test_federated_means_and_scales_start_neutral() -> None:
    artifact = build_artifact(perceptron(), loss="cross_entropy", standardize="federated")
    (spec,) = artifact.manifest.inputs
    assert spec.standardize == "federated"
    values = {slot.name: slot.view(artifact.parameters).tolist() for slot in artifact.layout}
    assert (values["x.fedge.mean"], values["x.fedge.scale"]) == ([0] * 4, [1] * 4)
    kinds = {slot.name: (slot.kind, slot.trainable) for slot in artifact.layout}
    assert kinds["x.fedge.mean"] == kinds["x.fedge.scale"] == ("statistic", False)


def test_training_sees_what_inference_sees() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(7, 3, (6, 4)).astype(np.float32)
    target = rng.integers(0, 3, 6)
    mean, std = x.mean(axis=0), x.std(axis=0)
    model = perceptron()
    raw = build_artifact(model, loss="cross_entropy", standardize={"x": (mean, std)})
    clean = build_artifact(model, loss="cross_entropy")
    scaled = ArrayData({"x": (x - mean) / std}, target)
    want = Trainer(clean).evaluate(clean.parameters, scaled).loss
    found = Trainer(raw).evaluate(raw.parameters, ArrayData({"x": x}, target)).loss
    assert found == pytest.approx(want, rel=1e-5)


def test_images_are_standardised_per_channel() -> None:
    model = model_of(
        "c = Conv(x, w) p = GlobalAveragePool(c) y = Flatten(p)", inputs="float[N, 2, 5, 5] x",
        w=(3, 2, 3, 3),
    )  # fmt: skip
    artifact = build_artifact(model, loss="cross_entropy", standardize="federated")
    shapes = {slot.name: slot.shape for slot in artifact.layout}
    assert shapes["x.fedge.mean"] == shapes["x.fedge.scale"] == (2, 1, 1)


def test_integer_inputs_are_left_alone() -> None:
    nodes = "e = Gather(table, i) f = Flatten(e) h = Concat <axis = 1> (f, x) y = Gemm(h, w)"
    model = model_of(nodes, inputs="int64[N, 2] i, float[N, 4] x", table=(5, 3), w=(10, 3))
    specs = build_artifact(model, loss="cross_entropy", standardize="federated").manifest.inputs
    assert [(s.name, s.standardize) for s in specs] == [("i", "none"), ("x", "federated")]


def test_a_model_too_old_for_missing_values_is_refused_with_a_pointer_to_the_converter() -> None:
    model = model_of("y = MatMul(x, w)", opset=8, w=(4, 3))
    with pytest.raises(ModelError, match="version_converter"):
        build_artifact(model, loss="mse", standardize="federated")
