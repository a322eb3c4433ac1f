"""Third-party models can be built and differentiated, and still give the same outputs."""

import numpy as np
import onnx
import pytest

from fedge.builder import build_artifact, check_artifact
from fedge.errors import ModelError
from tests.support.onnx_runs import run_onnxruntime
from tests.support.stored_models import MODELS
from tests.support.tools import data_file

pytestmark = pytest.mark.data


@pytest.mark.parametrize(("name", "loss"), MODELS)
def test_the_gradient_of_a_model_is_the_slope_of_its_loss(name: str, loss: str) -> None:
    report = check_artifact(build_artifact(data_file(name), loss=loss, batch_size=3))
    assert report.is_right, [slot for slot in report.slots if not slot.is_right]
    assert all(slot.claimed != 0 for slot in report.slots)


@pytest.mark.parametrize(("name", "loss"), [m for m in MODELS if m[0].startswith("onnx/")])
def test_inference_reproduces_the_outputs_that_came_with_the_model(name: str, loss: str) -> None:
    path = data_file(name)
    with np.load(data_file("onnx/expected.npz")) as stored:
        mine = {k.split("|")[1]: (k.split("|")[2], stored[k]) for k in stored if path.name in k}
    artifact = build_artifact(path, loss=loss)
    model = onnx.load_from_string(artifact.to_onnx(artifact.parameters))
    (input_name, x), (_, want) = mine["in"], mine["out"]
    (found,) = run_onnxruntime(model, {input_name: x})
    np.testing.assert_allclose(found, want, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize(("name", "loss"), MODELS)
def test_building_a_model_twice_gives_the_same_bytes(name: str, loss: str) -> None:
    path = data_file(name)
    first, second = (build_artifact(path, loss=loss).to_bytes() for _ in range(2))
    assert first == second


def test_a_recurrent_model_is_refused_by_node_and_operator() -> None:
    with pytest.raises(ModelError, match=r"node '/l/LSTM' \(LSTM\) has no gradient rule"):
        build_artifact(data_file("onnx_ref/char_lstm.onnx"), loss="cross_entropy")


def test_the_last_layer_of_a_recurrent_model_can_be_trained() -> None:
    path = data_file("onnx_ref/char_lstm.onnx")
    artifact = build_artifact(path, loss="mse", trainable="o.*", batch_size=2)
    assert check_artifact(artifact).is_right
