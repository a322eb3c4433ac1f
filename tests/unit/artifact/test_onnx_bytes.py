"""Writing parameters into a model without the onnx package."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from onnx import numpy_helper

from fedge.artifact import onnx_bytes
from fedge.errors import ArtifactError
from tests.support import models

ARTIFACT = models.softmax(n_in=3, n_out=2)
VALUES = {
    "w": np.array([[1, 2], [3, 4], [5, 6]], np.float32),
    "b": np.array([-1, 0.5], np.float32),
}


def test_inputs_become_initializers_and_nothing_else_changes() -> None:
    before = onnx.load_from_string(ARTIFACT.infer_graph)
    after = onnx.load_from_string(onnx_bytes.bake(ARTIFACT.infer_graph, VALUES))
    onnx.checker.check_model(after, full_check=True)
    assert [value.name for value in after.graph.input] == ["x"]
    for tensor in after.graph.initializer:
        np.testing.assert_array_equal(numpy_helper.to_array(tensor), VALUES[tensor.name])
    assert len(after.graph.initializer) == 2
    del after.graph.initializer[:]
    del before.graph.input[1:]
    assert after == before


def test_the_model_computes_the_softmax_of_its_scores() -> None:
    session = ort.InferenceSession(onnx_bytes.bake(ARTIFACT.infer_graph, VALUES))
    x = np.array([[1, 0, -1], [0.5, 2, 1]], np.float32)
    (got,) = session.run(None, {"x": x})
    odds = np.exp(x @ VALUES["w"] + VALUES["b"])
    np.testing.assert_allclose(got, odds / odds.sum(axis=1, keepdims=True), rtol=1e-5)


@pytest.mark.parametrize("value", [np.float32(2).reshape(()), np.zeros((1, 0, 300), np.float32)])
def test_tensors_of_any_rank_are_written(value: np.ndarray) -> None:
    names = {"x": value}
    model = onnx.load_from_string(onnx_bytes.bake(ARTIFACT.infer_graph, names))
    (tensor,) = model.graph.initializer
    np.testing.assert_array_equal(numpy_helper.to_array(tensor), value)


def test_a_missing_parameter_is_refused() -> None:
    with pytest.raises(ArtifactError, match="3 parameters"):
        onnx_bytes.bake(ARTIFACT.infer_graph, VALUES | {"other": VALUES["b"]})


@given(st.binary(max_size=60))
@example(b"\x3a\x80\x80\x80\x80\x80\x80\x80\x80\x80\x7f")  # a length of 2^63 and more
@example(b"\x3a\x05ab")  # cut short
@example(b"\x3b\x3c")  # a group
@example(b"\x3a\x00\x3a\x00")  # two graphs
@example(b"\xff" * 40)
def test_hostile_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ArtifactError):
        onnx_bytes.bake(data, VALUES)


@given(st.data())
def test_a_damaged_model_never_raises_anything_else(data: st.DataObject) -> None:
    damaged = bytearray(ARTIFACT.infer_graph)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        onnx_bytes.bake(bytes(damaged), VALUES)
    except ArtifactError:
        return


def test_metadata_replaces_entries_with_the_same_keys() -> None:
    before = onnx.load_from_string(ARTIFACT.infer_graph)
    for key, value in (("producer", "torch"), ("fedge.round", "old")):
        before.metadata_props.add(key=key, value=value)
    told = {"fedge.round": "7", "fedge.job": "zahlen-\u00e4"}
    after = onnx_bytes.bake(before.SerializeToString(), VALUES, told)
    found = [(one.key, one.value) for one in onnx.load_from_string(after).metadata_props]
    assert sorted(found) == sorted({"producer": "torch", **told}.items())
