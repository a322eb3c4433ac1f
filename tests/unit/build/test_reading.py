"""Files that are no models are refused in one sentence, whatever is wrong with them."""

from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fedge.build import build_artifact
from fedge.build.reading import read_model
from fedge.errors import FedgeError, ModelError
from tests.unit.build.models import model_of, perceptron

MODEL = perceptron().SerializeToString(deterministic=True)


def refusal(data: bytes) -> str:
    """Why a model is not built; nothing if it is."""
    try:
        build_artifact(data, loss="cross_entropy", batch_size=2)
    except FedgeError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("data", [b"", b"\x00", b"not a model", b"PK\x03\x04" + bytes(100)])
def test_other_bytes_are_no_model(data: bytes) -> None:
    with pytest.raises(ModelError):
        build_artifact(data, loss="mse")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"nobody\.onnx"):
        read_model(tmp_path / "nobody.onnx")
    with pytest.raises(ModelError, match="directory"):
        read_model(tmp_path)


def test_a_path_bytes_and_the_model_itself_are_read_alike(tmp_path: Path) -> None:
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


def test_weights_in_another_file_are_refused_with_what_to_do() -> None:
    model = model_of("y = MatMul(x, w)", w=(4, 3))
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = 1
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"
    with pytest.raises(ModelError, match=r"'w' lies in another file; .*save_model"):
        build_artifact(model, loss="mse")
