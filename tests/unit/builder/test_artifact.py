"""Artifacts from small models: what is trained, what is refused, and that nothing else changes."""

import subprocess
import sys

import numpy as np
import onnx
import pytest

from fedge.builder import build_artifact
from fedge.errors import ConfigError, FedgeError, ModelError
from fedge.training import ArrayData, Trainer
from tests.support.onnx_runs import run_onnxruntime
from tests.support.onnx_texts import model_of, perceptron

RNG = np.random.default_rng(1)
LINEAR = "y = Gemm(x, w, b)"


def linear() -> onnx.ModelProto:
    """One output y = x w + b with w = (1, 2) and b = 3."""
    w, b = np.array([[1.0], [2.0]]), np.array([3.0])
    return model_of(LINEAR, inputs="float[N, 2] x", outputs="float[N, 1] y", w=w, b=b)


def test_loss_and_gradient_of_a_line_by_hand() -> None:
    artifact = build_artifact(linear(), loss="mse", batch_size=2)
    x, target = np.array([[1, 1], [0, 2]], np.float32), np.array([[5], [9]], np.float32)
    loss, gradient = Trainer(artifact).loss_and_gradient(artifact.parameters, {"x": x}, target)
    # Gaps 1 and -2; losses 1 and 4; slope 2 gap / n for the bias, times x for the weights.
    assert loss == 2.5
    np.testing.assert_array_equal(gradient, [1 * 1 + -2 * 0, 1 * 1 + -2 * 2, 1 - 2])


def test_an_example_of_weight_zero_does_not_count() -> None:
    artifact = build_artifact(linear(), loss="mse", batch_size=2)
    w, b = np.array([[1], [2]], np.float32), np.array([3], np.float32)
    feeds = {"x": np.array([[1, 1], [7, 7]], np.float32), "w": w, "b": b}
    feeds |= {"fedge.target": np.array([[5], [0]], np.float32)}
    feeds |= {"fedge.weight": np.array([0.5, 0], np.float32)}
    loss, dw, db = run_onnxruntime(onnx.load_from_string(artifact.train_graph), feeds)
    assert (loss, *dw.flat, *db) == (0.5, 1, 1, 1)


def test_the_manifest_describes_the_graphs() -> None:
    artifact = build_artifact(perceptron(), loss="cross_entropy", batch_size=8)
    manifest = artifact.manifest
    assert [(s.name, s.dtype, s.shape) for s in manifest.inputs] == [("x", "float32", (4,))]
    assert (manifest.target.dtype, manifest.target.shape) == ("int64", ())
    assert (manifest.target.n_classes, manifest.batch_size) == (3, 8)
    assert [slot.name for slot in artifact.layout] == ["w1", "b1", "w2", "b2"]
    assert [slot.kind for slot in artifact.layout] == ["weight", "bias"] * 2


def test_the_initial_parameters_are_the_models() -> None:
    model = perceptron()
    artifact = build_artifact(model, loss="cross_entropy")
    stored = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    for slot in artifact.layout:
        np.testing.assert_array_equal(slot.view(artifact.parameters), stored[slot.name])


def test_the_exported_model_computes_what_the_original_does() -> None:
    model, x = perceptron(), RNG.standard_normal((5, 4), np.float32)
    artifact = build_artifact(model, loss="cross_entropy")
    exported = onnx.load_from_string(artifact.to_onnx(artifact.parameters))
    onnx.checker.check_model(exported)
    assert [info.name for info in exported.graph.input] == ["x"]
    np.testing.assert_array_equal(
        run_onnxruntime(exported, {"x": x}), run_onnxruntime(model, {"x": x})
    )


def test_the_same_model_gives_the_same_bytes() -> None:
    model = perceptron()
    first = build_artifact(model, loss="cross_entropy", standardize="federated").to_bytes()
    data = model.SerializeToString()
    assert build_artifact(data, loss="cross_entropy", standardize="federated").to_bytes() == first


def test_the_given_model_is_not_changed() -> None:
    model = perceptron()
    before = model.SerializeToString(deterministic=True)
    build_artifact(model, loss="cross_entropy", standardize="federated")
    assert model.SerializeToString(deterministic=True) == before


def test_only_chosen_parameters_are_trained_and_come_first() -> None:
    artifact = build_artifact(perceptron(), loss="cross_entropy", trainable=["w2", "b*"])
    trained = [(slot.name, slot.trainable) for slot in artifact.layout]
    assert trained == [("b1", True), ("w2", True), ("b2", True), ("w1", False)]
    assert artifact.n_trainable == 5 + 15 + 3


def test_training_the_last_layer_goes_no_further_back() -> None:
    artifact = build_artifact(perceptron(), loss="cross_entropy", trainable="*2")
    graph = onnx.load_from_string(artifact.train_graph).graph
    inputs = {name for node in graph.node for name in node.input}
    # The gradient of w2 needs neither w2 itself nor anything before the hidden units.
    assert sum("w2" in node.input for node in graph.node) == 1
    assert {"x", "w1", "b1"} <= inputs


def test_frozen_statistics_of_a_batch_normalisation_are_not_trained() -> None:
    nodes = "h = BatchNormalization(x, s, b, m, v) y = Gemm(h, w)"
    model = model_of(nodes, s=(4,), b=(4,), m=(4,), v=np.ones(4), w=(4, 3))
    layout = build_artifact(model, loss="cross_entropy").layout
    assert [(slot.name, slot.kind) for slot in layout if not slot.trainable] == [
        ("m", "statistic"),
        ("v", "statistic"),
    ]


def test_a_parameter_that_no_gradient_reaches_is_frozen() -> None:
    nodes = "z = Add(x, t) c = Greater(z, x) f = Cast <to = 1> (c) y = Gemm(f, w)"
    model = model_of(nodes, t=(4,), w=(4, 3))
    layout = build_artifact(model, loss="cross_entropy").layout
    assert [(slot.name, slot.trainable) for slot in layout] == [("w", True), ("t", False)]


def test_a_model_fixed_to_one_example_trains_in_batches() -> None:
    nodes = "h = Reshape(x, s) z = ReduceMean <axes = [2], keepdims = 0> (h) y = MatMul(z, w)"
    model = model_of(
        nodes,
        inputs="float[1, 4] x",
        outputs="float[1, 3] y",
        s=np.array([1, 2, 2]),
        w=(2, 3),
    )
    artifact = build_artifact(model, loss="cross_entropy", batch_size=6)
    x, target = RNG.standard_normal((6, 4), np.float32), RNG.integers(0, 3, 6)
    whole = Trainer(artifact).evaluate(artifact.parameters, ArrayData({"x": x}, target)).loss
    w = artifact.parameters.reshape(2, 3)
    scores = x.reshape(6, 2, 2).mean(axis=2) @ w
    log_p = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    assert whole == pytest.approx(-log_p[np.arange(6), target].mean(), rel=1e-5)


def test_several_inputs_and_integer_ones_are_trained() -> None:
    nodes = "e = Gather(table, i) f = Flatten(e) h = Concat <axis = 1> (f, x) y = Gemm(h, w)"
    model = model_of(nodes, inputs="int64[N, 2] i, float[N, 4] x", table=(5, 3), w=(10, 3))
    artifact = build_artifact(model, loss="cross_entropy", batch_size=3)
    inputs = {"i": np.array([[0, 4]]), "x": np.zeros((1, 4), np.float32)}
    trainer = Trainer(artifact)
    _, gradient = trainer.loss_and_gradient(artifact.parameters, inputs, np.array([1]))
    table = next(slot for slot in artifact.layout if slot.name == "table").view(gradient)
    assert np.abs(table).sum(axis=1).astype(bool).tolist() == [True, False, False, False, True]


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ("h = MatMul(x, w) y = Floor(h)", "(Floor)"),
        ("h = MatMul(x, w) y = Erf(h) z = Exp(nobody)", "nobody"),
        ("h = MatMul(x, w) y, i = TopK(h, k)", "(TopK)"),
        ("h = MatMul(x, w) y = Transpose <perm = [1, 0]> (h)", "batch axis"),
        ("h = MatMul(x, w) y = ReduceSum <keepdims = 0> (h)", "batch"),
        ("y = Exp(x)", "no parameter"),
        ("h = Cast <to = 11> (x) v = Cast <to = 11> (w) y = MatMul(h, v)", "float64"),
        ("h = MatMul(x, w) y = ArgMax <axis = 1> (h)", "int64"),
    ],
)
def test_what_cannot_be_trained_is_refused_in_one_sentence(nodes: str, expected: str) -> None:
    model = model_of(nodes, outputs="float[A, B] y", w=(4, 4), k=np.array([2]))
    with pytest.raises(ModelError) as caught:
        build_artifact(model, loss="mse")
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_parameters_that_are_not_finite_are_refused() -> None:
    model = model_of(LINEAR, w=np.full((4, 3), np.nan), b=(3,))
    with pytest.raises(ModelError, match="'w' holds NaN"):
        build_artifact(model, loss="mse")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"loss": "hinge"}, "cross_entropy"),
        ({"loss": "mse", "trainable": "conv*"}, "'conv\\*' matches no parameter; there are w1"),
        ({"loss": "mse", "trainable": ["w1", "w3"]}, "'w3'"),
        ({"loss": "mse", "optimizer": "adam"}, "only 'sgd'"),
        ({"loss": "mse", "quantize": "int8"}, "only None"),
        ({"loss": "mse", "batch_size": 0}, "batch_size"),
        ({"loss": "mse", "standardize": "local"}, "'federated'"),
        ({"loss": "mse", "standardize": {"z": (0, 1)}}, "'z'"),
        ({"loss": "mse", "standardize": {"x": (0, [1, 2])}}, "shape \\(4,\\)"),
        ({"loss": "mse", "standardize": {"x": (0, -1)}}, "not negative"),
    ],
)
def test_wrong_options_are_refused(options: dict, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        build_artifact(perceptron(), **options)


def test_a_model_of_a_newer_opset_is_built() -> None:
    nodes = (
        "c = Conv <pads = [1, 1]> (x, k) r = Relu(c)"
        "p = AveragePool <kernel_shape = [2], dilations = [1]> (r) f = Flatten(p) y = Gemm(f, w)"
    )
    model = model_of(nodes, inputs="float[N, 1, 4] x", opset=21, k=(2, 1, 3), w=(6, 3))
    assert build_artifact(model, loss="cross_entropy").n_trainable == 6 + 18


def test_building_without_onnx_says_what_to_install() -> None:
    code = "import sys; sys.modules['onnx'] = None; import fedge.builder"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert "pip install 'fedge[build]'" in found.stderr.splitlines()[-1]


def test_names_that_fedge_reserves_are_refused() -> None:
    model = model_of("y = MatMul(x, w)", w=(4, 3))
    model.graph.node[0].input[1] = model.graph.initializer[0].name = "fedge.target"
    with pytest.raises(FedgeError, match="fedge"):
        build_artifact(model, loss="mse")
