"""Dropout in whole models: active in training, with the promised mean, and nowhere else."""

from itertools import product

import numpy as np
import onnx
import pytest

from fedge.artifact import Artifact, DropoutSpec
from fedge.builder import build_artifact, check_artifact
from fedge.errors import ModelError
from fedge.training import ArrayData, Plan, Trainer
from tests.support.onnx_runs import run_onnxruntime
from tests.support.onnx_texts import model_of

RATIO = 0.25
LINE = "d = Dropout(x, ratio) y = Gemm(d, w, b)"
W, B = np.array([[1.0], [-2.0]]), np.array([0.5])
X, TARGET = np.array([[1, 2], [3, -1]], np.float32), np.array([[2], [-1]], np.float32)


def line(nodes: str = LINE) -> Artifact:
    inputs, outputs = "float[N, 2] x", "float[N, 1] y"
    model = model_of(nodes, inputs=inputs, outputs=outputs, w=W, b=B, ratio=RATIO, none=0.0)
    return build_artifact(model, loss="mse", batch_size=2)


def perceptron(training_mode: str = "") -> onnx.ModelProto:
    """16 hidden units, half of them dropped; a mask nobody reads, as PyTorch writes it."""
    nodes = (
        f"h = Gemm(x, w1, b1) r = Tanh(h) d, m = Dropout(r, ratio{training_mode})"
        "z = Gemm(d, w2, b2) y = Softmax(z)"
    )
    on = np.array(1, bool)
    return model_of(nodes, w1=(4, 16), b1=(16,), w2=(16, 3), b2=(3,), ratio=0.5, on=on)


def test_the_mean_gradient_over_all_draws_is_that_of_the_line_with_a_penalty() -> None:
    """E f = 1, E f^2 = 1 / (1 - r): a line's loss gains r / (1 - r) sum_j w_j^2 mean x_j^2.

    Source: Wager et al., 2013, arXiv:1307.1493. The gradient of b, linear in f, gains nothing.
    """
    graph = onnx.load_from_string(line().train_graph)
    feeds = {"x": X, "w": W.astype(np.float32), "b": B.astype(np.float32)}
    feeds |= {"fedge.target": TARGET, "fedge.weight": np.full(2, 0.5, np.float32)}
    loss, dw, db = 0.0, np.zeros((2, 1)), np.zeros(1)
    for kept in product([0, 1], repeat=4):
        chance = np.prod([1 - RATIO if k else RATIO for k in kept])
        feeds["fedge.dropout"] = np.array(kept, np.float32) / np.float32(1 - RATIO)
        one_loss, one_dw, one_db = run_onnxruntime(graph, feeds)
        loss, dw, db = loss + chance * one_loss, dw + chance * one_dw, db + chance * one_db
    gap = X @ W + B - TARGET
    penalty = RATIO / (1 - RATIO) * (X**2).mean(axis=0)[:, None]
    assert loss == pytest.approx((gap**2).mean() + (penalty * W**2).sum(), rel=1e-5)
    np.testing.assert_allclose(dw, X.T @ gap + 2 * penalty * W, rtol=1e-5)
    np.testing.assert_allclose(db, gap.sum(axis=0), rtol=1e-5)


def test_factors_are_an_input_of_training_only_and_no_graph_draws_them() -> None:
    artifact = line()
    assert artifact.manifest.dropout == (DropoutSpec(ratio=RATIO, size=4),)
    graphs = {
        name: onnx.load_from_string(getattr(artifact, f"{name}_graph")).graph
        for name in ("train", "eval", "infer")
    }
    inputs = {name: [info.name for info in graph.input] for name, graph in graphs.items()}
    assert inputs["train"] == ["x", "fedge.target", "fedge.weight", "fedge.dropout", "w", "b"]
    assert inputs["eval"] == ["x", "fedge.target", "w", "b"]
    assert inputs["infer"] == ["x", "w", "b"]
    assert "Dropout" not in {node.op_type for node in graphs["train"].node}


@pytest.mark.parametrize(
    "nodes",
    [
        "y = Gemm(x, w, b)",
        "d = Dropout(x, none) y = Gemm(d, w, b)",
        "y = Gemm(x, w, b) z = Dropout(y, ratio)",
    ],
)
def test_without_an_effective_dropout_there_is_no_factors_input(nodes: str) -> None:
    artifact = line(nodes)
    assert artifact.manifest.dropout == ()
    assert b"fedge.dropout" not in artifact.train_graph
    assert b'"dropout"' not in artifact.to_bytes()


def test_an_artifact_with_dropout_survives_its_file_and_its_check() -> None:
    artifact = build_artifact(perceptron(), loss="cross_entropy", batch_size=3)
    data = artifact.to_bytes()
    again = Artifact.from_bytes(data)
    assert again.manifest == artifact.manifest
    assert again.to_bytes() == data
    assert check_artifact(artifact).is_right


def test_a_used_mask_is_refused_naming_its_node() -> None:
    with pytest.raises(ModelError, match=r"'d' \(Dropout\) has the output 'm'"):
        line("d, m = Dropout(x, ratio) f = Cast <to = 1> (m) e = Add(d, f) y = Gemm(e, w, b)")


@pytest.mark.parametrize("training_mode", ["", ", on"])
def test_a_model_with_dropout_trains_and_answers_without_it(training_mode: str) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((300, 4), np.float32)
    data = ArrayData({"x": x}, x[:, :3].argmax(axis=1))
    artifact = build_artifact(perceptron(training_mode), loss="cross_entropy", batch_size=16)
    trainer, plan = Trainer(artifact), Plan(epochs=30, batch_size=16, lr=0.3)
    update = trainer.fit(artifact.parameters, data, plan)
    parameters = artifact.parameters + update.delta
    found = trainer.evaluate(parameters, data)
    assert found.accuracy is not None
    assert found.accuracy > 0.9
    assert trainer.evaluate(parameters, data) == found
    w1, b1, w2, b2 = (slot.view(parameters) for slot in artifact.layout)
    scores = np.tanh(x @ w1 + b1) @ w2 + b2
    odds = np.exp(scores - scores.max(axis=1, keepdims=True))
    exported = onnx.load_from_string(artifact.to_onnx(parameters))
    (answers,) = run_onnxruntime(exported, {"x": x})
    np.testing.assert_allclose(answers, odds / odds.sum(axis=1, keepdims=True), atol=1e-5)
    assert found.accuracy == np.mean(answers.argmax(axis=1) == data.targets)
