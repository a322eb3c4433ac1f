"""A standardised target: training in deviations, everything else in the target's own units."""

import json

import numpy as np
import onnx
import pytest

from fedge.artifact import Artifact, Manifest
from fedge.builder import build, build_artifact, check_artifact
from fedge.errors import ArtifactError
from fedge.training import ArrayData, Trainer
from fedge.types import Vector
from tests.support.onnx_runs import run_onnxruntime
from tests.support.onnx_texts import model_of

RNG = np.random.default_rng(5)
X = RNG.normal(size=(16, 4)).astype(np.float32)
Y = RNG.uniform(-100, 100, (16, 2)).astype(np.float32)
MODEL = model_of(
    "h = Gemm(x, w1, b1) r = Tanh(h) y = Gemm(r, w2, b2)",
    outputs="float[N, 2] y", w1=(4, 5), b1=(5,), w2=(5, 2), b2=(2,),
)  # fmt: skip


def with_statistics(artifact: Artifact) -> Vector:
    """The parameters after a statistics round over these examples."""
    filled = artifact.parameters.copy()
    slots = {slot.name: slot for slot in artifact.layout}
    slots["target.fedge.centre"].view(filled)[...] = Y.mean(0)
    slots["target.fedge.spread"].view(filled)[...] = Y.std(0)
    slots["x.fedge.mean"].view(filled)[...] = X.mean(0)
    slots["x.fedge.scale"].view(filled)[...] = 1 / X.std(0)
    return filled


SCALED = build_artifact(MODEL, loss="mse", standardize="federated")
PLAIN = build_artifact(MODEL, loss="mse", standardize={"x": (X.mean(0), X.std(0))})


def test_training_uses_the_standardised_target() -> None:
    parameters = with_statistics(SCALED)
    loss, gradient = Trainer(SCALED).loss_and_gradient(parameters, {"x": X}, Y)
    standard = (Y - Y.mean(0)) / Y.std(0)
    want, slope = Trainer(PLAIN).loss_and_gradient(PLAIN.parameters, {"x": X}, standard)
    assert loss == pytest.approx(want, rel=1e-5)
    np.testing.assert_allclose(gradient, slope, rtol=1e-4, atol=1e-6)


def test_evaluation_and_the_exported_model_are_in_the_targets_units() -> None:
    parameters = with_statistics(SCALED)
    exported = onnx.load_from_string(SCALED.to_onnx(parameters))
    onnx.checker.check_model(exported, full_check=True)
    plain = onnx.load_from_string(PLAIN.to_onnx(PLAIN.parameters))
    (found,), (scores,) = (run_onnxruntime(each, {"x": X}) for each in (exported, plain))
    np.testing.assert_allclose(found, scores * Y.std(0) + Y.mean(0), rtol=1e-4, atol=1e-3)
    said = Trainer(SCALED).evaluate(parameters, ArrayData({"x": X}, Y))
    assert said.loss == pytest.approx(np.mean((found - Y) ** 2), rel=1e-5)


def test_before_the_fleet_has_measured_the_model_is_unchanged() -> None:
    exported = onnx.load_from_string(SCALED.to_onnx(SCALED.parameters))
    (found,), (want,) = (run_onnxruntime(each, {"x": X}) for each in (exported, MODEL))
    np.testing.assert_allclose(found, want, rtol=1e-6)
    assert check_artifact(SCALED).is_right


def test_an_output_that_the_model_reads_again_is_scaled_once() -> None:
    model = model_of("y = MatMul(x, w) z = Neg(y)", outputs="float[N, 2] y", w=(4, 2))
    artifact = build_artifact(model, loss="mse", standardize="federated")
    exported = onnx.load_from_string(artifact.to_onnx(artifact.parameters))
    assert [info.name for info in exported.graph.output] == ["y"]


def test_the_table_lists_the_targets_statistics() -> None:
    built = build(MODEL, loss="mse", standardize="federated")
    fates = {choice.name: (choice.is_trained, choice.why) for choice in built.tensors}
    assert fates["target.fedge.spread"] == (False, "standardises the target")


@pytest.mark.parametrize("loss", ["cross_entropy", "binary_cross_entropy"])
def test_class_targets_are_not_standardised(loss: str) -> None:
    artifact = build_artifact(MODEL, loss=loss, standardize="federated")
    assert artifact.manifest.target.standardize == "none"


def test_the_manifest_has_no_standardize_key_for_other_targets() -> None:
    """So that its bytes do not change."""
    assert "standardize" not in json.loads(PLAIN.manifest.to_json({}))["target"]
    data = SCALED.manifest.to_json({})
    assert json.loads(data)["target"]["standardize"] == "federated"
    assert Manifest.from_json(data)[0] == SCALED.manifest


@pytest.mark.parametrize("wrong", [b'"given"', b'"none"', b"1"])
def test_an_unknown_standardize_value_in_the_manifest_is_refused(wrong: bytes) -> None:
    head, _, tail = SCALED.manifest.to_json({}).rpartition(b'"standardize":"federated"')
    with pytest.raises(ArtifactError):
        Manifest.from_json(head + b'"standardize":' + wrong + tail)
