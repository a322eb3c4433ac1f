"""One value of a model is trained; what only others need is neither checked nor kept."""

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from fedge.artifact import Artifact
from fedge.builder import build, build_artifact
from fedge.errors import ConfigError, ModelError
from fedge.training import ArrayData, Trainer
from tests.support.onnx_runs import run_onnxruntime
from tests.support.onnx_texts import model_of

LABELLED = "z = Gemm(x, w, b) y = Softmax(z) label = ArgMax <axis = 1, keepdims = 0> (y)"
TENSORS: dict[str, Any] = {"w": (4, 3), "b": (3,)}


def zip_mapped() -> onnx.ModelProto:
    """How scikit-learn's converter ends: a label by its operators, and a list of dictionaries."""
    outputs = "int64[N] chosen, float[N, 3] named"
    model = model_of(LABELLED, outputs=outputs, classes=np.array([7, 8, 9]), **TENSORS)
    domain = "ai.onnx.ml"
    model.opset_import.append(helper.make_opsetid(domain, 1))
    model.graph.node.extend(
        [
            helper.make_node("ArrayFeatureExtractor", ["classes", "label"], ["row"], domain=domain),
            helper.make_node("Flatten", ["row"], ["chosen"], axis=0),
            helper.make_node(
                "ZipMap", ["y"], ["named"], domain=domain, classlabels_int64s=[7, 8, 9]
            ),
        ]
    )
    entry = helper.make_map_type_proto(
        TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, [])
    )
    del model.graph.output[:]
    model.graph.output.extend(
        [
            helper.make_tensor_value_info("chosen", TensorProto.INT64, ["N"]),
            helper.make_value_info("named", helper.make_sequence_type_proto(entry)),
        ]
    )
    return model


def outputs_of(artifact: Artifact) -> list[str]:
    exported = onnx.load_from_string(artifact.to_onnx(artifact.parameters))
    return [info.name for info in exported.graph.output]


def test_the_only_floating_point_output_is_trained_and_the_label_left_out() -> None:
    model = model_of(LABELLED, outputs="int64[N] label, float[N, 3] y", **TENSORS)
    built = build(model, loss="cross_entropy")
    assert (built.output.name, built.output.left_out) == ("y", ("label",))
    assert outputs_of(built.artifact) == ["y"]


def test_a_list_of_dictionaries_counts_as_the_tensor_it_is_made_from() -> None:
    for output in (None, "named", "y"):
        built = build(zip_mapped(), loss="cross_entropy", output=output)
        assert built.output.name == "y"
        assert built.output.left_out == ("chosen",)
    exported = onnx.load_from_string(built.artifact.to_onnx(built.artifact.parameters))
    assert {node.domain for node in exported.graph.node} == {""}
    onnx.checker.check_model(exported, full_check=True)


def test_several_floating_point_outputs_are_refused_with_their_names() -> None:
    model = model_of(LABELLED, outputs="float[N, 3] z, float[N, 3] y", **TENSORS)
    with pytest.raises(ModelError, match=r"several outputs: 'z', 'y'; name .* --output NAME"):
        build_artifact(model, loss="cross_entropy")
    assert outputs_of(build_artifact(model, loss="cross_entropy", output="y")) == ["y"]


def test_a_model_of_labels_alone_has_nothing_to_train() -> None:
    model = model_of(LABELLED, outputs="int64[N] label", **TENSORS)
    with pytest.raises(ModelError, match=r"no numeric output, only 'label'; name .* --output"):
        build_artifact(model, loss="cross_entropy")
    assert outputs_of(build_artifact(model, loss="cross_entropy", output="z")) == ["z"]


def test_a_name_that_no_node_computes_is_refused_with_the_outputs() -> None:
    model = model_of(LABELLED, outputs="int64[N] label, float[N, 3] y", **TENSORS)
    for name in ("nobody", "x", "w", ""):
        with pytest.raises(ConfigError, match=f"computes '{name}'; its outputs are 'label', 'y'"):
            build_artifact(model, loss="cross_entropy", output=name)


def test_a_chosen_inner_value_keeps_its_values() -> None:
    model = model_of(LABELLED, outputs="int64[N] label, float[N, 3] y", **TENSORS)
    artifact = build_artifact(model, loss="mse", output="z")
    x = np.random.default_rng(1).normal(size=(5, 4)).astype(np.float32)
    model.graph.output.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, None))
    want = run_onnxruntime(model, {"x": x})[-1]
    exported = onnx.load_from_string(artifact.to_onnx(artifact.parameters))
    np.testing.assert_allclose(run_onnxruntime(exported, {"x": x})[0], want, rtol=1e-6)


def test_inputs_nodes_and_tensors_of_other_outputs_are_gone() -> None:
    """A branch that could not be trained: another input, without a batch, and a data-sized op."""
    nodes = "y = MatMul(x, w) o = NonZero(k) p = Cast <to = 7> (o)"
    inputs, outputs = "float[N, 4] x, float[?, ?] k", "float[N, 3] y, int64[A, B] p"
    built = build(model_of(nodes, inputs=inputs, outputs=outputs, w=(4, 3)), loss="mse")
    assert [spec.name for spec in built.artifact.manifest.inputs] == ["x"]
    assert [choice.name for choice in built.tensors] == ["w"]


def test_probabilities_that_do_not_come_from_softmax_are_refused_for_cross_entropy() -> None:
    """One versus rest, as scikit-learn's SGDClassifier ends; as scores they hardly train."""
    nodes = "z = MatMul(x, w) s = Sigmoid(z) t = ReduceSum(s, axes) y = Div(s, t)"
    model = model_of(nodes, axes=np.array([1]), w=(4, 3))
    with pytest.raises(ModelError, match=r"probabilities, but no Softmax .* --output NAME"):
        build_artifact(model, loss="cross_entropy")
    build_artifact(model, loss="cross_entropy", output="z")


def test_two_classes_from_one_sigmoid_become_scores_of_a_softmax() -> None:
    """p and 1 - p, as scikit-learn's MLPClassifier ends: the loss is -ln p; p is not a score."""
    nodes = "z = MatMul(x, w) p = Sigmoid(z) q = Sub(one, p) y = Concat <axis = 1> (q, p)"
    model = model_of(nodes, outputs="float[N, 2] y", one=np.float32(1), w=np.ones((4, 1)))
    artifact = build_artifact(model, loss="cross_entropy")
    x = np.array([[1, 0, 0, 0], [0, 0, -2, 0]], np.float32)
    found = Trainer(artifact).evaluate(artifact.parameters, ArrayData({"x": x}, np.array([1, 1])))
    want = np.mean([np.log(1 + np.exp(-1)), np.log(1 + np.exp(2))])
    assert found.loss == pytest.approx(want, rel=1e-6)
    assert found.accuracy == 0.5
