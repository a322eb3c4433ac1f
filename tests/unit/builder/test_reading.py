"""Files that are not models are refused in one sentence, whatever is wrong with them."""

import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from fedge.builder import build_artifact
from fedge.builder.reading import read_model
from fedge.errors import FedgeError, ModelError
from tests.support.onnx_texts import model_of, perceptron

MODEL = perceptron().SerializeToString(deterministic=True)


def refusal(data: bytes) -> str:
    """Why a model was refused; empty if it was built."""
    try:
        build_artifact(data, loss="cross_entropy", batch_size=2)
    except FedgeError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("data", [b"", b"\x00", b"not a model", b"PK\x03\x04" + bytes(100)])
def test_other_bytes_are_refused_as_a_model(data: bytes) -> None:
    with pytest.raises(ModelError):
        build_artifact(data, loss="mse")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"nobody\.onnx"):
        read_model(tmp_path / "nobody.onnx")
    with pytest.raises(ModelError, match="directory"):
        read_model(tmp_path)


def test_a_path_its_bytes_and_the_model_itself_are_read_the_same(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(MODEL)
    assert read_model(path) == read_model(str(path)) == read_model(MODEL)
    assert read_model(read_model(MODEL)) == read_model(MODEL)


@settings(max_examples=100, deadline=None)
@given(length=st.integers(0, len(MODEL) - 1))
@example(length=0)
def test_a_truncated_model_is_refused(length: int) -> None:
    with pytest.raises(FedgeError):
        build_artifact(MODEL[:length], loss="cross_entropy", batch_size=2)


@settings(max_examples=150, deadline=None)
@given(position=st.integers(0, len(MODEL) - 1), flip=st.integers(1, 255))
def test_a_damaged_model_is_built_or_refused_in_one_sentence(position: int, flip: int) -> None:
    data = bytearray(MODEL)
    data[position] ^= flip
    assert "\n" not in refusal(bytes(data))


WEIGHT = np.arange(12, dtype=np.float32).reshape(4, 3)


def outside(path: Path, **said: str) -> onnx.ModelProto:
    """A model whose weight is in another file, with these claims about the file."""
    model = model_of("y = MatMul(x, w)", w=(4, 3))
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in said.items():
        tensor.external_data.add(key=key, value=value)
    path.write_bytes(model.SerializeToString())
    return model


def test_weights_in_a_file_next_to_the_model_are_read(tmp_path: Path) -> None:
    (tmp_path / "w.data").write_bytes(bytes(8) + WEIGHT.tobytes())
    outside(tmp_path / "m.onnx", location="w.data", offset="8", length="48")
    (tensor,) = read_model(tmp_path / "m.onnx").graph.initializer
    np.testing.assert_array_equal(numpy_helper.to_array(tensor), WEIGHT)


def test_weights_elsewhere_are_refused_with_a_remedy(tmp_path: Path) -> None:
    model = outside(tmp_path / "m.onnx", location="w.data")
    (tmp_path / "w.data").write_bytes(WEIGHT.tobytes())
    with pytest.raises(ModelError, match=r"'w'.* another file; .*save_model"):
        build_artifact(model, loss="mse")
    with pytest.raises(ModelError, match=r"'w'.* another file; .*save_model"):
        build_artifact((tmp_path / "m.onnx").read_bytes(), loss="mse")


@pytest.mark.parametrize(
    "said",
    [
        {"location": "/etc/passwd"},
        {"location": "../w.data"},
        {"location": "sub/w.data"},
        {"location": "."},
        {"location": ""},
        {},
        {"location": "nobody.data"},
        {"location": "link.data"},
        {"location": "fifo.data"},
        {"location": "w.data", "offset": "8"},
        {"location": "w.data", "offset": "-8"},
        {"location": "w.data", "length": "1000000000000"},
        {"location": "w.data", "length": "4"},
    ],
)
def test_a_second_file_unlike_its_claims_is_refused(tmp_path: Path, said: dict[str, str]) -> None:
    folder = tmp_path / "model"
    (folder / "sub").mkdir(parents=True)
    for path in (tmp_path / "w.data", folder / "w.data", folder / "sub/w.data"):
        path.write_bytes(WEIGHT.tobytes())
    (folder / "link.data").symlink_to(tmp_path / "w.data")
    os.mkfifo(folder / "fifo.data")
    outside(folder / "m.onnx", **said)
    with pytest.raises(ModelError, match="tensor 'w' is in another file; expected") as caught:
        read_model(folder / "m.onnx")
    assert "\n" not in str(caught.value)


def test_a_functions_tensor_cannot_be_in_another_file() -> None:
    value = onnx.TensorProto(
        name="leak", data_type=1, dims=[4], data_location=onnx.TensorProto.EXTERNAL
    )
    value.external_data.add(key="location", value="/etc/passwd")
    model = model_of("y = MatMul(x, w)", w=(4, 3))
    inner = helper.make_node("Constant", [], ["o"], value=value)
    function = helper.make_function("local", "F", [], ["o"], [inner], model.opset_import)
    model.functions.append(function)
    with pytest.raises(ModelError, match=r"'leak'.* another file"):
        build_artifact(model, loss="mse")


def test_a_function_cannot_smuggle_a_sparse_tensor_in_another_file_past_the_check() -> None:
    """onnxruntime reads it before it checks where other tensors' paths lead."""
    value = onnx.TensorProto(name="leak", data_type=1, dims=[4])
    value.data_location = onnx.TensorProto.EXTERNAL
    value.external_data.add(key="location", value="secret.bin")
    model = model_of("y = MatMul(x, w)", w=(4, 3))
    inner = helper.make_node("Constant", [], ["o"])
    inner.attribute.add(name="sparse_value", type=11).sparse_tensor.values.CopyFrom(value)
    function = helper.make_function("local", "F", [], ["o"], [inner], model.opset_import)
    model.functions.append(function)
    model.opset_import.append(helper.make_opsetid("local", 1))
    with pytest.raises(ModelError, match=r"dense tensors, found a sparse one"):
        build_artifact(model, loss="mse")
