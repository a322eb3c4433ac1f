"""Inputs that are not data become constants of the graph."""

from typing import Any

import numpy as np
import onnx
import pytest

from fedge.builder import build, build_artifact
from fedge.errors import ConfigError, ModelError
from fedge.training import ArrayData, Trainer
from tests.support.onnx_texts import model_of

SCALED = "z = Mul(x, scale) y = MatMul(z, w)"


def scaled(kind: str) -> onnx.ModelProto:
    return model_of(SCALED, inputs=f"float[N, 4] x, {kind} scale", w=(4, 3))


def test_a_scalar_input_must_be_given_and_is_fixed_to_its_value() -> None:
    with pytest.raises(ModelError, match=r"input 'scale' .* --input-value"):
        build_artifact(scaled("float"), loss="mse")
    built = build(scaled("float"), loss="mse", input_values={"scale": 2})
    assert [spec.name for spec in built.artifact.manifest.inputs] == ["x"]
    x, y = np.ones((1, 4), np.float32), np.zeros((1, 3), np.float32)
    artifact = built.artifact
    w = artifact.parameters.reshape(4, 3).astype(np.float64)
    found = Trainer(artifact).evaluate(artifact.parameters, ArrayData({"x": x}, y))
    assert found.loss == pytest.approx(np.mean((2 * w.sum(axis=0)) ** 2), rel=1e-6)


@pytest.mark.parametrize("value", [2, [1, 2, 3, 4]])
def test_a_fixed_input_is_never_trained(value: Any) -> None:
    built = build(scaled("float[4]"), loss="mse", input_values={"scale": value})
    fates = {choice.name: (choice.is_parameter, choice.why) for choice in built.tensors}
    assert fates["scale"] == (False, "fixed by --input-value")
    assert fates["w"][0]


def test_a_training_mode_is_fixed_and_dropout_stays_with_training() -> None:
    nodes = "h = Gemm(x, w, b) d = Dropout(h, ratio, training_mode) y = Softmax(d)"
    inputs = "float[N, 4] x, bool training_mode"
    model = model_of(nodes, inputs=inputs, w=(4, 3), b=(3,), ratio=np.float32(0.5))
    for mode in (True, False):
        artifact = build_artifact(model, loss="cross_entropy", input_values={"training_mode": mode})
        assert [spec.ratio for spec in artifact.manifest.dropout] == [0.5]
        exported = onnx.load_from_string(artifact.to_onnx(artifact.parameters))
        assert [info.name for info in exported.graph.input] == ["x"]


@pytest.mark.parametrize(
    ("kind", "name", "value", "sentence"),
    [
        ("float", "nobody", 1, "no input 'nobody' to fix; it has 'x', 'scale'"),
        ("float", "x", 1, "open axes"),
        ("float[4]", "scale", [1, 2], r"shape \[4\], 2 values do not fit"),
        ("float", "scale", float("nan"), "float32, which nan is not"),
        ("float", "scale", 1e300, "float32"),
        ("int64", "scale", 0.5, "int64, which 0.5 is not"),
        ("bool", "scale", 2, "bool, which 2 is not"),
        ("float", "scale", "loud", "cannot be fixed to 'loud'"),
    ],
)
def test_a_value_that_does_not_fit_is_refused(
    kind: str, name: str, value: Any, sentence: str
) -> None:
    with pytest.raises(ConfigError, match=sentence):
        build_artifact(scaled(kind), loss="mse", input_values={name: value})
