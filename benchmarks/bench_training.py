"""A training step of the MLP 784-128-10, batch 32, one thread: fedge, its session alone, NumPy.

`make bench` prints the medians; run one process with OMP_NUM_THREADS=1 for fair ratios. The
bare session is the floor: anything above it is the trainer's own cost.
"""

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # the bare session below is loaded without fedge

from collections.abc import Iterator

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from pytest_benchmark.fixture import BenchmarkFixture

from fedge import Artifact, Plan, Trainer, build_artifact
from fedge.training import ArrayData
from fedge.training.graphs import TrainGraph
from fedge.types import Array, Vector

N_IN, N_HIDDEN, N_OUT, BATCH = 784, 128, 10, 32
LR = 0.01


def mlp() -> bytes:
    rng = np.random.default_rng(0)
    weights = {
        "w1": rng.normal(0, 0.05, (N_IN, N_HIDDEN)),
        "b1": np.zeros(N_HIDDEN),
        "w2": rng.normal(0, 0.1, (N_HIDDEN, N_OUT)),
        "b2": np.zeros(N_OUT),
    }
    graph = helper.make_graph(
        [
            helper.make_node("Gemm", ["x", "w1", "b1"], ["h"]),
            helper.make_node("Relu", ["h"], ["a"]),
            helper.make_node("Gemm", ["a", "w2", "b2"], ["scores"]),
        ],
        "mlp",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", N_IN])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", N_OUT])],
        [
            numpy_helper.from_array(value.astype(np.float32), name)
            for name, value in weights.items()
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


@pytest.fixture(scope="module")
def artifact() -> Artifact:
    return build_artifact(mlp(), loss="cross_entropy", batch_size=BATCH)


@pytest.fixture(scope="module")
def data() -> ArrayData:
    rng = np.random.default_rng(1)
    x = rng.random((50 * BATCH, N_IN), dtype=np.float32)
    return ArrayData({"x": x}, rng.integers(0, N_OUT, len(x)))


def endless(trainer: Trainer, artifact: Artifact, data: ArrayData) -> Iterator[object]:
    plan = Plan(local_steps=10**6, batch_size=BATCH, lr=LR)
    return trainer.steps(artifact.parameters, data, plan)


def bench_trainer_step(benchmark: BenchmarkFixture, artifact: Artifact, data: ArrayData) -> None:
    """One step of `Trainer.steps`: sampling, filling, running, checking, stepping."""
    steps = endless(Trainer(artifact), artifact, data)
    report = benchmark(next, steps)
    assert np.isfinite(report.loss)


def bench_bare_session(benchmark: BenchmarkFixture, artifact: Artifact, data: ArrayData) -> None:
    """The same graph on the same bound buffers, and nothing else."""
    graph = TrainGraph(artifact, threads=1)
    graph.parameters[:] = artifact.parameters
    loss, _ = graph.run(data, np.arange(BATCH))
    benchmark(graph._engine.run)  # noqa: SLF001 - the floor under the public call
    assert loss == pytest.approx(np.log(N_OUT), rel=0.2)  # nothing learnt yet


def bench_numpy_by_hand(benchmark: BenchmarkFixture, artifact: Artifact, data: ArrayData) -> None:
    """Hand-written code for exactly this network, checked against fedge's gradient."""
    parameters = artifact.parameters.copy()
    inputs, targets = data.batch(np.arange(BATCH))
    _, want = Trainer(artifact).loss_and_gradient(parameters, inputs, targets)
    flat = Flat(artifact)
    _, found = flat.loss_and_gradient(parameters, inputs["x"], targets)
    np.testing.assert_allclose(found, want, rtol=1e-3, atol=1e-6)

    def step() -> None:
        _, gradient = flat.loss_and_gradient(parameters, inputs["x"], targets)
        np.subtract(parameters, LR * gradient, out=parameters)

    benchmark(step)


class Flat:
    """The network by hand, on the artifact's own layout."""

    def __init__(self, artifact: Artifact) -> None:
        self.slots = {slot.name: slot for slot in artifact.layout}
        self.gradient = np.zeros(artifact.n_params, np.float32)

    def loss_and_gradient(self, parameters: Vector, x: Array, y: Array) -> tuple[float, Vector]:
        w1, b1, w2, b2 = (self.slots[name].view(parameters) for name in ("w1", "b1", "w2", "b2"))
        g1, c1, g2, c2 = (self.slots[name].view(self.gradient) for name in ("w1", "b1", "w2", "b2"))
        a = np.maximum(x @ w1 + b1, 0)
        scores = a @ w2 + b2
        odds = np.exp(scores - scores.max(axis=1, keepdims=True))
        p = odds / odds.sum(axis=1, keepdims=True)
        rows = np.arange(len(y))
        loss = -np.log(p[rows, y]).mean()
        p[rows, y] -= 1
        p /= np.float32(len(y))
        slope = (p @ w2.T) * (a > 0)
        np.matmul(a.T, p, out=g2)
        np.matmul(x.T, slope, out=g1)
        np.sum(p, axis=0, out=c2)
        np.sum(slope, axis=0, out=c1)
        return float(loss), self.gradient
