"""onnxruntime behind the Engine protocol."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fedge.errors import ArtifactError, TrainingError
from fedge.training.batch import Batch
from fedge.training.engine import OnnxRuntime
from fedge.training.graphs import TrainGraph
from fedge.types import Array
from tests.support import models

ARTIFACT = models.linear(n_in=2, n_out=1, batch_size=1)


def buffers() -> tuple[dict[str, Array], dict[str, Array]]:
    shapes = {"x": (1, 2), "fedge.target": (1, 1), "fedge.weight": (1,), "w": (2, 1), "b": (1,)}
    results = {"fedge.loss": (), "fedge.grad.w": (2, 1), "fedge.grad.b": (1,)}
    inputs = {name: np.ones(shape, np.float32) for name, shape in shapes.items()}
    return inputs, {name: np.zeros(shape, np.float32) for name, shape in results.items()}


def test_buffers_are_read_and_written_in_place() -> None:
    inputs, outputs = buffers()
    engine = OnnxRuntime(ARTIFACT.train_graph, inputs, outputs, threads=1)
    engine.run()  # y = 1 + 1 + 1, loss = (3 - 1)^2
    assert outputs["fedge.loss"] == 4
    inputs["w"][:] = 0  # y = 1, loss = 0
    engine.run()
    assert outputs["fedge.loss"] == 0
    assert outputs["fedge.grad.w"].ravel().tolist() == [0, 0]
    inputs["fedge.target"][:] = 3
    engine.run()
    assert outputs["fedge.grad.b"].tolist() == [-4]


def test_the_graph_sees_the_flat_vectors_themselves() -> None:
    """One write into the flat parameters, one read from the flat gradient: nothing in between."""
    graph = TrainGraph(ARTIFACT, threads=1)
    examples = OneExample()
    before = (graph.parameters.ctypes.data, graph.gradient.ctypes.data)
    graph.parameters[:] = [1, 2, 3]
    loss, gradient = graph.run(examples, np.array([0]))  # y = 1 + 2 + 3, target 0
    assert loss == 36
    assert gradient.tolist() == [12, 12, 12]
    graph.parameters[2] = -3
    loss, again = graph.run(examples, np.array([0]))
    assert (loss, again.tolist()) == (0, [0, 0, 0])
    assert np.shares_memory(gradient, again)
    assert before == (graph.parameters.ctypes.data, graph.gradient.ctypes.data)


class OneExample:
    """x = (1, 1), target 0, again and again."""

    n_examples = 1

    def batch(self, indices: Array) -> tuple[dict[str, Array], Array]:
        n = len(indices)
        return {"x": np.ones((n, 2), np.float32)}, np.zeros((n, 1), np.float32)


def test_what_onnxruntime_cannot_load_is_refused(capfd: pytest.CaptureFixture[str]) -> None:
    inputs, outputs = buffers()
    for graph in (b"", b"\xff" * 20, ARTIFACT.train_graph[:-10]):
        with pytest.raises(ArtifactError, match="graph"):
            OnnxRuntime(graph, inputs, outputs, threads=1)
    assert capfd.readouterr().err == ""


def test_a_graph_with_other_inputs_is_refused() -> None:
    inputs, outputs = buffers()
    with pytest.raises(ArtifactError, match="inputs of graph"):
        OnnxRuntime(ARTIFACT.eval_graph, inputs, outputs, threads=1)


def test_a_graph_that_fails_on_its_inputs_says_so_in_one_line(
    capfd: pytest.CaptureFixture[str],
) -> None:
    inputs, outputs = buffers()
    inputs["w"] = np.ones((3, 1), np.float32)
    engine = OnnxRuntime(ARTIFACT.train_graph, inputs, outputs, threads=1)
    with pytest.raises(TrainingError, match=r"^the graph failed: [^\n]+$"):
        engine.run()
    assert capfd.readouterr().err == ""


def test_padding_repeats_an_example_with_weight_zero() -> None:
    batch = Batch(models.linear(batch_size=3).manifest)
    batch.fill(OneExample(), np.array([0]), weight=0.5)
    assert batch.weight.tolist() == [0.5, 0, 0]
    assert batch.inputs["x"].tolist() == [[1, 1]] * 3


PROGRAM = """
import os, sys
import numpy as np
from fedge.training import ArrayData, Plan, Trainer
from tests.support import models
assert "onnxruntime" not in sys.modules, "imported too early"
data = ArrayData({"x": np.ones((8, 2), np.float32)}, np.ones((8, 1), np.float32))
artifact = models.linear()
trainer = Trainer(artifact)
trainer.fit(artifact.parameters, data, Plan())
trainer.evaluate(artifact.parameters, data)
assert "onnxruntime" in sys.modules
print(os.environ["ORT_DISABLE_TELEMETRY"])
"""


def run(program: str, home: Path) -> "subprocess.CompletedProcess[str]":
    gone = ("CI", "ORT_DISABLE_TELEMETRY", "TF_BUILD", "GITHUB_ACTIONS")
    kept = {name: value for name, value in os.environ.items() if name not in gone}
    folders = dict.fromkeys(("HOME", "TMPDIR", "XDG_CACHE_HOME"), str(home))
    return subprocess.run(
        [sys.executable, "-c", program],
        env=kept | folders | {"PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_training_writes_no_file_and_turns_telemetry_off(tmp_path: Path) -> None:
    result = run(PROGRAM, tmp_path)
    assert (result.stdout, result.stderr, result.returncode) == ("1\n", "", 0)
    assert list(tmp_path.iterdir()) == []


def test_an_onnxruntime_that_already_reports_is_refused(tmp_path: Path) -> None:
    result = run(
        "import onnxruntime\n" + PROGRAM.replace('assert "onnxruntime" not', "#"), tmp_path
    )
    assert result.returncode == 1
    assert "ConfigError: onnxruntime was imported with telemetry on" in result.stderr
