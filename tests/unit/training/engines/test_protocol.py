"""What every engine promises, tested on each."""

import numpy as np
import pytest
from onnx import parser

from fedge.errors import ArtifactError, TrainingError
from fedge.training.batch import Batch
from fedge.training.engines import ENGINES, EngineName, load
from fedge.training.graphs import TrainGraph
from fedge.types import Array
from tests.support import models

ARTIFACT = models.linear(n_in=2, n_out=1, batch_size=1)
each_engine = pytest.mark.parametrize("engine", ENGINES)


def buffers() -> tuple[dict[str, Array], dict[str, Array]]:
    shapes = {"x": (1, 2), "fedge.target": (1, 1), "fedge.weight": (1,), "w": (2, 1), "b": (1,)}
    results = {"fedge.loss": (), "fedge.grad.w": (2, 1), "fedge.grad.b": (1,)}
    inputs = {name: np.ones(shape, np.float32) for name, shape in shapes.items()}
    return inputs, {name: np.zeros(shape, np.float32) for name, shape in results.items()}


def graph(text: str) -> bytes:
    model = parser.parse_model(f'<ir_version: 8, opset_import: ["": 18]> g {text}')
    return bytes(model.SerializeToString())


@each_engine
def test_buffers_are_read_and_written_in_place(engine: EngineName) -> None:
    inputs, outputs = buffers()
    opened = load(engine)(ARTIFACT.train_graph, inputs, outputs, threads=1)
    opened.run()  # y = 1 + 1 + 1, loss = (3 - 1)^2
    assert outputs["fedge.loss"] == 4
    inputs["w"][:] = 0  # y = 1, loss = 0
    opened.run()
    assert outputs["fedge.loss"] == 0
    assert outputs["fedge.grad.w"].ravel().tolist() == [0, 0]
    inputs["fedge.target"][:] = 3
    opened.run()
    assert outputs["fedge.grad.b"].tolist() == [-4]


@each_engine
def test_the_graph_reads_and_writes_the_flat_vectors_directly(engine: EngineName) -> None:
    """One write to the flat parameters, one read of the flat gradient, and nothing in between."""
    graph = TrainGraph(ARTIFACT, 1, engine)
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
    """x = (1, 1), target 0, over and over."""

    n_examples = 1

    def batch(self, indices: Array) -> tuple[dict[str, Array], Array]:
        n = len(indices)
        return {"x": np.ones((n, 2), np.float32)}, np.zeros((n, 1), np.float32)


@each_engine
def test_inputs_are_never_written(engine: EngineName) -> None:
    inputs, outputs = buffers()
    before = {name: array.copy() for name, array in inputs.items()}
    load(engine)(ARTIFACT.train_graph, inputs, outputs, threads=1).run()
    for name, array in inputs.items():
        np.testing.assert_array_equal(array, before[name])


@each_engine
def test_infinity_passes_through_to_the_outputs_without_a_warning(engine: EngineName) -> None:
    inputs, outputs = buffers()
    inputs["w"][:] = 3e38
    load(engine)(ARTIFACT.train_graph, inputs, outputs, threads=1).run()
    assert outputs["fedge.loss"] == np.inf


@each_engine
def test_a_graph_that_cannot_be_loaded_is_refused(
    engine: EngineName, capfd: pytest.CaptureFixture[str]
) -> None:
    inputs, outputs = buffers()
    for bad in (b"", b"\xff" * 20, ARTIFACT.train_graph[:-10], b"x" + ARTIFACT.train_graph):
        with pytest.raises(ArtifactError, match=r"^graph: expected [^\n]+$"):
            load(engine)(bad, inputs, outputs, threads=1)
    assert capfd.readouterr().err == ""


@each_engine
def test_a_graph_with_an_operator_that_does_not_exist_is_refused(engine: EngineName) -> None:
    bad = graph("(float[1] x) => (float[1] y) { y = Frobnicate(x) }")
    x, y = np.ones(1, np.float32), np.zeros(1, np.float32)
    with pytest.raises(ArtifactError, match="Frobnicate"):
        load(engine)(bad, {"x": x}, {"y": y}, threads=1)


@each_engine
def test_a_graph_with_other_inputs_is_refused(engine: EngineName) -> None:
    inputs, outputs = buffers()
    with pytest.raises(ArtifactError, match="inputs of graph"):
        load(engine)(ARTIFACT.eval_graph, inputs, outputs, threads=1)


@each_engine
def test_a_graph_of_another_shape_is_refused(engine: EngineName) -> None:
    inputs, outputs = buffers()
    inputs["w"] = np.ones((3, 1), np.float32)
    with pytest.raises(ArtifactError, match=r"shape of w in graph: expected \(3, 1\), found"):
        load(engine)(ARTIFACT.train_graph, inputs, outputs, threads=1)


READS = "(float[2] x, int64[2] i) => (float[2] y) { y = Gather(x, i) }"
ADDS = """(float[2] x, int64[2] i) => (float[2] y)
    { y = ScatterElements <reduction = "add"> (x, i, x) }"""


@each_engine
@pytest.mark.parametrize("text", [READS, ADDS], ids=["Gather", "ScatterElements"])
def test_a_graph_that_fails_on_its_inputs_says_so_in_one_line(
    engine: EngineName, text: str, capfd: pytest.CaptureFixture[str]
) -> None:
    inputs = {"x": np.ones(2, np.float32), "i": np.array([0, 7])}
    outputs = {"y": np.zeros(2, np.float32)}
    opened = load(engine)(graph(text), inputs, outputs, threads=1)
    with pytest.raises(TrainingError, match=r"^the graph failed: [^\n]+$"):
        opened.run()
    inputs["i"][:] = [0, -1]  # counted from the end, as ONNX allows
    opened.run()
    assert (outputs["y"] > 0).all()
    assert capfd.readouterr().err == ""


def test_padding_repeats_an_example_with_weight_zero() -> None:
    batch = Batch(models.linear(batch_size=3).manifest)
    batch.fill(OneExample(), np.array([0]), weight=0.5)
    assert batch.weight.tolist() == [0.5, 0, 0]
    assert batch.inputs["x"].tolist() == [[1, 1]] * 3
