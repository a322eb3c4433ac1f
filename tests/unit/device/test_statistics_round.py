"""The round before the first training: a device reports its features' statistics."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from fedge.builder import build_artifact
from fedge.messages import RoundKind
from fedge.messages.statistics import StatisticsReport
from fedge.training import ArrayData
from tests.support.device_scene import Scene


def model() -> onnx.ModelProto:
    weights = [numpy_helper.from_array(np.ones((2, 1), np.float32), "w")]
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 1])],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path, build_artifact(model(), loss="mse", standardize="federated"))


def test_a_device_measures_its_features_once_and_sends_no_example(scene: Scene) -> None:
    x = np.array([[1, 10], [3, np.nan], [5, 20]], np.float32)
    data = ArrayData({"x": x}, np.array([[0], [2], [4]], np.float32))
    scene.aggregator.announce(0, kind=RoundKind.STATISTICS)
    device = scene.device(data=data)
    scene.settle(device)
    scene.aggregator.announce(0, sequence=1, kind=RoundKind.STATISTICS)
    scene.settle(device)
    scene.kill(device)
    again = scene.device(data=data)
    scene.settle(again)
    ((_, round_, _, payload),) = scene.aggregator.updates
    assert round_ == 0
    report = StatisticsReport.from_bytes(payload, scene.artifact.manifest)
    assert report.n_examples == 3
    found, target = report.features["x"], report.features["fedge.target"]
    assert [part.tolist() for part in (target.count, target.mean, target.m2)] == [[3], [2], [8]]
    np.testing.assert_array_equal(found.count, [3, 2])
    np.testing.assert_array_equal(found.mean, [3, 15])
    np.testing.assert_array_equal(found.m2, [8, 50])
    # The model is not needed to measure, so it is not fetched.
    assert [one.key for one in scene.aggregator.requests] == [scene.aggregator.artifact.key]
    scene.aggregator.announce(1)
    scene.settle(again)
    assert [round_ for _, round_, _, _ in scene.aggregator.updates] == [0, 1]
    again.close()
