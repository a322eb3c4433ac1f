"""The sizes that the check derives are those that onnx infers and onnxruntime produces."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import shape_inference

from fedge.artifact.safety import check, check_graph, walk
from fedge.artifact.safety.messages import Shape
from fedge.autodiff.table import RULES
from fedge.builder import build_artifact
from tests.support.checked_graphs import integers, model, node
from tests.support.gradient_cases import CASES, Case
from tests.support.gradient_graphs import draw_operands, make_models
from tests.support.tools import data_file

MODELS = (
    *("cifar10_cnn", "iris_mlp", "mnist_cntk_opset8", "mnist_lenet_static_untrained"),
    *("mnist_mlp784_untrained", "tinyml_ad_autoencoder", "tinyml_kws_dscnn"),
    "tinyml_resnet8_cifar10",
)


def worked_out(data: bytes, monkeypatch: pytest.MonkeyPatch) -> dict[str, Shape | None]:
    """The shape of every value, recorded as the check walks over it."""
    found: dict[str, Shape | None] = {}
    define = walk.Walk._define

    def spy(self: walk.Walk, known: Any, name: str, one: Any, title: str, times: int) -> None:
        define(self, known, name, one, title, times)
        found[name] = one.shape

    monkeypatch.setattr(walk.Walk, "_define", spy)
    check_graph(data, "graph")
    return found


def inferred(made: onnx.ModelProto) -> dict[str, Shape]:
    """The shapes onnx infers for the same values, where it can."""
    graph = shape_inference.infer_shapes(made, data_prop=True, strict_mode=True).graph
    shapes = {}
    for info in (*graph.input, *graph.output, *graph.value_info):
        dims = info.type.tensor_type.shape.dim
        if info.type.tensor_type.HasField("shape") and all(d.HasField("dim_value") for d in dims):
            shapes[info.name] = tuple(dim.dim_value for dim in dims)
    return shapes


def agree(found: Mapping[str, Shape | None], expected: Mapping[str, Shape]) -> bool:
    known = {name: found[name] for name in expected if name in found}
    assert known
    assert known == {name: expected[name] for name in known}
    return True


@pytest.mark.parametrize("case", [c for c in CASES if c.opset == 18], ids=str)
def test_every_operator_and_gradient_has_the_size_onnx_infers(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    operands = draw_operands(case, np.random.default_rng(0))
    forward, backward, _ = make_models(case, operands, np.float32)
    for made in (forward, backward):
        assert agree(worked_out(made.SerializeToString(), monkeypatch), inferred(made))


def test_every_operator_with_a_gradient_is_known() -> None:
    from fedge.artifact.safety import sizes  # noqa: PLC0415

    assert [name for name in RULES if not sizes.knows(name)] == []


@pytest.mark.data
@pytest.mark.parametrize("name", MODELS)
def test_graphs_of_other_peoples_models_have_the_sizes_onnx_infers(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = data_file(f"onnx/{name}.onnx")
    loss = "mse" if "autoencoder" in name else "cross_entropy"
    artifact = build_artifact(path, loss=loss, batch_size=4)
    for data in (artifact.train_graph, artifact.eval_graph):
        assert agree(worked_out(data, monkeypatch), inferred(onnx.load_from_string(data)))


X = (2, 6, 7, 8)


def zeros(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


W3, W1 = zeros(4, 3, 3, 3), zeros(6, 2, 3, 3)
# Operators without a gradient, after frozen parameters: a node, stored tensors, the shape of x.
RUN = [
    (node("Hardmax", "x", "y"), {}, X),
    (node("TopK", "x k", "y i", axis=2), {"k": integers(3)}, X),
    (node("ArgMax", "x", "y", axis=1, keepdims=0), {}, X),
    (node("DepthToSpace", "x", "y", blocksize=2), {}, (2, 8, 3, 3)),
    (node("SpaceToDepth", "x", "y", blocksize=2), {}, (2, 3, 4, 6)),
    (node("Resize", "x - s", "y"), {"s": np.array([1, 1, 1.5, 0.4], np.float32)}, X),
    (node("Resize", "x - - s", "y"), {"s": integers(2, 6, 3, 20)}, X),
    (
        node("Slice", "x a b c d", "y"),
        {"a": integers(-1, 1), "b": integers(-99, 99), "c": integers(2, -1), "d": integers(-2, 3)},
        X,
    ),
    (node("Split", "x", "y z w", axis=1, num_outputs=3), {}, (2, 7, 2)),
    (node("Pad", "x p - a", "y"), {"p": integers(1, -1, 2, 0), "a": integers(1, -1)}, X),
    (node("Reshape", "x s", "y"), {"s": integers(0, -1, 8)}, X),
    (
        node("Conv", "x w", "y", group=2, strides=[2, 3], pads=[1, 0, 2, 1], dilations=[2, 1]),
        {"w": W3},
        X,
    ),
    (node("Conv", "x w", "y", group=2, strides=[2, 3], auto_pad="SAME_UPPER"), {"w": W3}, X),
    (node("Conv", "x w", "y", group=2, auto_pad="VALID"), {"w": W3}, X),
    (
        node("ConvTranspose", "x w", "y", strides=[2, 3], pads=[1, 0, 1, 1], output_padding=[1, 2]),
        {"w": W1},
        X,
    ),
    (node("ConvTranspose", "x w", "y", strides=[2, 3], output_shape=[15, 24]), {"w": W1}, X),
    (node("MaxPool", "x", "y i", kernel_shape=[2, 3], strides=[2, 2], ceil_mode=1), {}, X),
    (node("MaxPool", "x", "y", kernel_shape=[1, 1], strides=[2, 2], ceil_mode=1), {}, X),
    (
        node(
            "AveragePool",
            "x",
            "y",
            kernel_shape=[3, 3],
            strides=[2, 2],
            pads=[1, 1, 1, 1],
            ceil_mode=1,
        ),
        {},
        X,
    ),
    (node("LpPool", "x", "y", kernel_shape=[3, 3], strides=[2, 2]), {}, X),
    (node("GatherND", "x i", "y", batch_dims=1), {"i": np.zeros((2, 5, 2), np.int64)}, X),
    (node("Gather", "x i", "y", axis=-1), {"i": np.zeros((3, 2), np.int64)}, X),
    (node("Einsum", "x w", "y", equation="nchw,dc->ndhw"), {"w": zeros(3, 6)}, X),
    (
        node("LSTM", "x w r", "y h c", hidden_size=3, direction="bidirectional"),
        {"w": zeros(2, 12, 4), "r": zeros(2, 12, 3)},
        (5, 2, 4),
    ),
    (
        node("GRU", "x w r", "y h", hidden_size=3),
        {"w": zeros(1, 9, 4), "r": zeros(1, 9, 3)},
        (5, 2, 4),
    ),
    (node("Range", "a b c", "y"), {"a": np.array(7), "b": np.array(-4), "c": np.array(-3)}, (1,)),
    (node("GridSample", "x g", "y"), {"g": zeros(2, 3, 5, 2)}, X),
    (node("Trilu", "x", "y"), {}, (3, 4)),
    (node("Squeeze", "x", "y"), {}, (1, 3, 1)),
    (node("Flatten", "x", "y", axis=-1), {}, X),
    (node("ReduceMax", "x a", "y", keepdims=0), {"a": integers(-1, 1)}, X),
    (
        node("RoiAlign", "x r b", "y", output_height=2, output_width=3, sampling_ratio=2),
        {"r": zeros(5, 4), "b": np.zeros(5, np.int64)},
        X,
    ),
]


@pytest.mark.parametrize(("made", "stored", "shape"), RUN, ids=lambda x: getattr(x, "op_type", ""))
def test_an_output_has_the_size_that_onnxruntime_gives_it(
    made: onnx.NodeProto,
    stored: dict[str, np.ndarray],
    shape: Shape,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = model([made], stored, shape=shape)
    del whole.graph.output[:]
    whole.graph.output.extend(onnx.ValueInfoProto(name=name) for name in made.output)
    found = worked_out(whole.SerializeToString(), monkeypatch)
    session = ort.InferenceSession(whole.SerializeToString())
    given = session.run(None, {"x": np.zeros(shape, np.float32)})
    assert {n: x.shape for n, x in zip(made.output, given, strict=True)} == {
        name: found[name] for name in made.output
    }


def test_a_scan_outputs_its_state_and_one_row_per_step(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.support.checked_graphs import scan  # noqa: PLC0415

    made = scan(3, body=[node("Add", "s r", "s2")])
    found = worked_out(made.SerializeToString(), monkeypatch)
    assert (found["last"], found["y"]) == ((4,), (3, 4))
    rows = np.arange(12, dtype=np.float32).reshape(3, 4)
    made.graph.output.insert(0, onnx.ValueInfoProto(name="last"))
    last, y = ort.InferenceSession(made.SerializeToString()).run(None, {"x": rows})
    np.testing.assert_array_equal(last, rows.sum(axis=0))
    assert y.shape == (3, 4)


def test_limits_are_as_stated_in_the_documents() -> None:
    assert (check.MAX_ELEMENTS, check.MAX_TOTAL) == (2**29, 2**32)
    assert (check.MAX_WORK, check.MAX_NODES, check.MAX_FIELDS) == (2**40, 2**14, 2**18)
