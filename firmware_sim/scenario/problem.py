"""A learning problem of a chosen size: random points, and the class of each."""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from fedge.builder import build_artifact
from fedge.data import Dataset, write_npz

_N_INPUTS, _N_CLASSES = 16, 4
_N_EXAMPLES, _N_TEST = 400, 200
BATCH = 8


@dataclass(frozen=True, slots=True)
class Problem:
    """Its files."""

    artifact: Path
    data: Path
    test: Path


def write_problem(folder: Path, hidden: int, seed: int) -> Problem:
    """A perceptron with two hidden layers, and examples classified by a random map."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    problem = Problem(folder / "model.fedge", folder / "data.npz", folder / "test.npz")
    model = _perceptron([_N_INPUTS, hidden, hidden, _N_CLASSES], rng)
    build_artifact(model, loss="cross_entropy", batch_size=BATCH).save(problem.artifact)
    truth = rng.normal(size=(_N_INPUTS, _N_CLASSES))
    for file, n in ((problem.data, _N_EXAMPLES), (problem.test, _N_TEST)):
        x = rng.normal(size=(n, _N_INPUTS)).astype(np.float32)
        y = (x @ truth).argmax(axis=1).astype(np.int64)
        write_npz(file, Dataset(inputs={"x": x}, targets=y, client=None, is_test=None))
    return problem


def _perceptron(sizes: list[int], rng: np.random.Generator) -> ModelProto:
    nodes, weights = [], []
    for layer, (fan_in, fan_out) in enumerate(pairwise(sizes)):
        draw = rng.normal(scale=(2 / fan_in) ** 0.5, size=(fan_out, fan_in)).astype(np.float32)
        weights += [
            numpy_helper.from_array(draw, f"w{layer}"),
            numpy_helper.from_array(np.zeros(fan_out, np.float32), f"b{layer}"),
        ]
        source = f"h{layer}" if layer else "x"
        nodes += [
            helper.make_node("Gemm", [source, f"w{layer}", f"b{layer}"], [f"a{layer}"], transB=1),
            helper.make_node("Relu", [f"a{layer}"], [f"h{layer + 1}"]),
        ]
    graph = helper.make_graph(
        nodes[:-1],  # the last layer's numbers are the scores
        "perceptron",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", sizes[0]])],
        [
            helper.make_tensor_value_info(
                nodes[-2].output[0], TensorProto.FLOAT, ["batch", sizes[-1]]
            )
        ],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
