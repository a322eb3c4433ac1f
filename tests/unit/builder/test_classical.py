"""Linear models in ai.onnx.ml compute the same in standard operators, and can be trained."""

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from fedge.artifact import Artifact
from fedge.builder import build_artifact, check_artifact
from fedge.errors import ModelError
from tests.support.onnx_runs import run_onnxruntime

X = np.array([[1, -2, 3], [0, 0, 0], [-1, 0.5, 4]], np.float32)
A = [0.5, -1, 0.25, 1, 0.5, -0.5, 0, 1, 1]
B = [0.1, -0.2, 0.3]


def linear(*steps: tuple[str, dict[str, Any]], n: int = 3, opset: int = 18) -> onnx.ModelProto:
    """Classical nodes one after another, from x to y."""
    nodes, x = [], "x"
    for i, (op_type, settings) in enumerate(steps):
        result = "y" if i == len(steps) - 1 else f"v{i}"
        labels = [f"label{i}"] if op_type == "LinearClassifier" else []
        nodes.append(
            helper.make_node(
                op_type, [x], [*labels, result], name=op_type, domain="ai.onnx.ml", **settings
            )
        )
        x = result
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", n])],
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def classifier(transform: str, a: list[float] = A, b: list[float] = B) -> tuple[str, Any]:
    given = {"coefficients": a, "intercepts": b, "classlabels_ints": list(range(len(b)))}
    return "LinearClassifier", given | {"post_transform": transform, "multi_class": 1}


def check(model: onnx.ModelProto, artifact: Artifact, n_params: int) -> None:
    exported = onnx.load_from_string(artifact.to_onnx(artifact.parameters))
    assert [entry.domain for entry in exported.opset_import] == [""]
    (want,), (found,) = (run_onnxruntime(each, {"x": X}) for each in (model, exported))
    np.testing.assert_allclose(found, want, rtol=1e-5, atol=1e-6)
    assert artifact.n_trainable == artifact.n_params == n_params
    assert check_artifact(artifact).is_right


@pytest.mark.parametrize("opset", [9, 18])
@pytest.mark.parametrize(
    "steps",
    [
        [classifier("NONE")],
        [classifier("SOFTMAX")],
        [classifier("SOFTMAX"), ("Normalizer", {"norm": "L1"})],
        [("Scaler", {"offset": [1.0, 0.0, 2.0], "scale": [0.5, 2.0, 1.0]}), classifier("SOFTMAX")],
        [("Normalizer", {"norm": "L1"}), classifier("SOFTMAX")],
        [("Normalizer", {"norm": "L2"}), classifier("SOFTMAX")],
    ],
)
def test_classifiers_compute_the_same(steps: list[tuple[str, Any]], opset: int) -> None:
    model = linear(*steps, opset=opset)
    check(model, build_artifact(model, loss="cross_entropy"), 12)


def test_two_classes_of_opposite_scores_are_one_softmax() -> None:
    model = linear(classifier("LOGISTIC", [-1, 2, 0.5, 1, -2, -0.5], [-0.25, 0.25]), n=2)
    check(model, build_artifact(model, loss="cross_entropy"), 8)


def test_one_versus_rest_is_trained_through_its_sigmoids() -> None:
    model = linear(classifier("LOGISTIC"))
    check(model, build_artifact(model, loss="binary_cross_entropy"), 12)


@pytest.mark.parametrize("n_targets", [1, 3])
def test_a_regressor_computes_the_same(n_targets: int) -> None:
    given = {"coefficients": A[: 3 * n_targets], "intercepts": B[:n_targets], "targets": n_targets}
    model = linear(("LinearRegressor", given), n=n_targets)
    check(model, build_artifact(model, loss="mse"), 4 * n_targets)


@pytest.mark.parametrize(
    "step", [classifier("PROBIT"), ("Normalizer", {"norm": "MAX"}), ("Binarizer", {})]
)
def test_an_operator_that_has_no_form_is_refused_by_name(step: tuple[str, Any]) -> None:
    with pytest.raises(ModelError, match=rf"\({step[0]}\) is from domain 'ai.onnx.ml'"):
        build_artifact(linear(step, classifier("NONE")), loss="cross_entropy")
