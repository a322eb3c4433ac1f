"""Artifacts written by hand, node by node, so that training tests do not need autodiff."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from fedge.artifact import Artifact, DropoutSpec, InputSpec, Manifest, TargetSpec, arrange

OPSET, IR = 18, 9
FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


def linear(
    n_in: int = 2, n_out: int = 1, batch_size: int = 4, *, train_bias: bool = True, seed: int = 0
) -> Artifact:
    """y = x @ w + b with mean squared error; loss_i = mean over the n_out elements."""
    head = [
        _node("Gemm", ["x", "w", "b"], "y"),
        _node("Sub", ["y", "fedge.target"], "d"),
        _node("Mul", ["d", "d"], "d2"),
        _node("ReduceMean", ["d2", "last"], "fedge.losses", keepdims=0),
    ]
    slope = [
        _node("Mul", ["d", "column"], "wd"),
        _node("Mul", ["wd", "factor"], "g"),
    ]
    constants = {"last": np.array([1]), "factor": np.array(2 / n_out, np.float32)}
    return _artifact(
        head, slope, constants, sizes=(n_in, n_out, batch_size), loss="mse",
        train_bias=train_bias, seed=seed,
    )  # fmt: skip


def dropping(artifact: Artifact, ratio: float) -> Artifact:
    """The same artifact with dropout on its input x in training."""
    model = onnx.load_from_string(artifact.train_graph)
    graph, shape = model.graph, (artifact.manifest.batch_size, *artifact.manifest.inputs[0].shape)
    for node in graph.node:
        node.input[:] = ["dropped" if name == "x" else name for name in node.input]
    graph.node.insert(0, _node("Reshape", ["fedge.dropout", "shape"], "factors"))
    graph.node.insert(1, _node("Mul", ["x", "factors"], "dropped"))
    graph.initializer.append(numpy_helper.from_array(np.array(shape), "shape"))
    spec = DropoutSpec(ratio=ratio, size=int(np.prod(shape)))
    graph.input.append(_info("fedge.dropout", (spec.size,)))
    onnx.checker.check_model(model, full_check=True)
    manifest = replace(artifact.manifest, dropout=(spec,))
    return replace(artifact, manifest=manifest, train_graph=bytes(model.SerializeToString()))


def softmax(n_in: int = 2, n_out: int = 3, batch_size: int = 4, *, seed: int = 0) -> Artifact:
    """Class scores x @ w + b with cross entropy; infer.onnx ends in a Softmax."""
    head = [
        _node("Gemm", ["x", "w", "b"], "y"),
        _node("LogSoftmax", ["y"], "logp", axis=1),
        _node("OneHot", ["fedge.target", "depth", "off_on"], "onehot"),
        _node("Mul", ["onehot", "logp"], "picked"),
        _node("ReduceSum", ["picked", "last"], "minus_losses", keepdims=0),
        _node("Neg", ["minus_losses"], "fedge.losses"),
    ]
    slope = [
        _node("Exp", ["logp"], "p"),
        _node("Sub", ["p", "onehot"], "d"),
        _node("Mul", ["d", "column"], "g"),
    ]
    constants = {
        "last": np.array([1]),
        "depth": np.array([n_out]),
        "off_on": np.array([0, 1], np.float32),
    }
    return _artifact(
        head, slope, constants, sizes=(n_in, n_out, batch_size), loss="cross_entropy",
        train_bias=True, seed=seed,
    )  # fmt: skip


def _artifact(
    head: list[onnx.NodeProto],
    slope: list[onnx.NodeProto],
    constants: dict[str, np.ndarray],
    *,
    sizes: tuple[int, int, int],
    loss: str,
    train_bias: bool,
    seed: int,
) -> Artifact:
    n_in, n_out, batch = sizes
    classes = loss == "cross_entropy"
    layout = arrange(
        [("w", (n_in, n_out), True, "weight"), ("b", (n_out,), train_bias, "bias")]
    )  # fmt: skip
    parameters = [_info(slot.name, slot.shape) for slot in layout]
    target_shape = () if classes else (n_out,)
    examples = [
        _info("x", (batch, n_in)),
        _info("fedge.target", (batch, *target_shape), INT64 if classes else FLOAT),
    ]
    tail = [
        _node("Mul", ["fedge.losses", "fedge.weight"], "weighted"),
        _node("ReduceSum", ["weighted"], "fedge.loss", keepdims=0),
        _node("Unsqueeze", ["fedge.weight", "ones"], "column"),
        *slope,
        _node("Gemm", ["x", "g"], "fedge.grad.w", transA=1),
    ]
    gradients = [_info("fedge.grad.w", (n_in, n_out))]
    if train_bias:
        tail.append(_node("ReduceSum", ["g", "zeros"], "fedge.grad.b", keepdims=0))
        gradients.append(_info("fedge.grad.b", (n_out,)))
    constants = constants | {"ones": np.array([1]), "zeros": np.array([0])}
    train = _model(
        [*head, *tail],
        [*examples, _info("fedge.weight", (batch,)), *parameters],
        [_info("fedge.loss", ()), *gradients],
        constants,
    )
    output = _node("Identity", ["y"], "fedge.output")
    outputs = [_info("fedge.losses", (batch,)), _info("fedge.output", (batch, n_out))]
    evaluate = _model([*head, output], [*examples, *parameters], outputs, constants)
    final = _node("Softmax" if classes else "Identity", ["y"], "out")
    infer = _model(
        [head[0], final],
        [_info("x", ("N", n_in)), *parameters],
        [_info("out", ("N", n_out))],
        {},
    )
    manifest = Manifest(
        batch_size=batch,
        loss=loss,
        opset=OPSET,
        inputs=(InputSpec(name="x", dtype="float32", shape=(n_in,)),),
        target=TargetSpec(
            dtype="int64" if classes else "float32",
            shape=target_shape,
            n_classes=n_out if classes else None,
        ),
        layout=layout,
    )
    values = np.random.default_rng(seed).normal(size=n_in * n_out + n_out).astype(np.float32)
    return Artifact(manifest, train, evaluate, infer, values)


def _node(op: str, inputs: Sequence[str], output: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op, inputs, [output], **attributes)


def _info(name: str, shape: Sequence[int | str], dtype: int = FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, dtype, shape)


def _model(
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    constants: dict[str, np.ndarray],
) -> bytes:
    read = {name for node in nodes for name in node.input}
    tensors = [
        numpy_helper.from_array(value, name) for name, value in constants.items() if name in read
    ]
    graph = helper.make_graph(nodes, "hand", inputs, outputs, tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())
