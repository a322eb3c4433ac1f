"""Malicious artifacts, each with correct hashes, and words from the refusal to expect."""

import hashlib
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from fedge.artifact import Artifact, container
from fedge.artifact.artifact import MEMBERS
from tests.support import models

Change = Callable[[onnx.GraphProto], None]

_SIDE = 4096  # size of a slow graph's matrices: 69 billion multiplications per product


def repacked(artifact: Artifact, **contents: bytes) -> bytes:
    """An artifact with some members replaced, and hashes and CRCs updated."""
    parts = container.unpack(artifact.to_bytes(), MEMBERS)
    members = dict(zip(MEMBERS, map(bytes, parts), strict=True))
    members |= {name.replace("_", "."): data for name, data in contents.items()}
    hashes = {name: hashlib.sha256(members[name]).hexdigest() for name in MEMBERS[1:]}
    members["manifest.json"] = artifact.manifest.to_json(hashes)
    return container.pack(list(members.items()))


def spoilt(change: Change) -> bytes:
    """The linear model with a changed training graph."""
    sound = models.linear()
    model = onnx.load_from_string(sound.train_graph)
    change(model.graph)
    return repacked(sound, train_onnx=model.SerializeToString())


def slow_artifact() -> Artifact:
    """A linear model that also multiplies large matrices, taking at least 30 s per step."""
    sound = models.linear()
    model = onnx.load_from_string(sound.train_graph)
    graph = model.graph
    n_products = 14
    sizes = np.array([_SIDE, _SIDE])
    graph.initializer.append(numpy_helper.from_array(sizes, "slow.shape"))
    graph.initializer.append(numpy_helper.from_array(np.array(0, np.float32), "slow.zero"))
    for node in graph.node:
        node.output[:] = ["slow.loss" if name == "fedge.loss" else name for name in node.output]
    nodes = [helper.make_node("ReduceSum", ["fedge.weight"], ["slow.one"], keepdims=0)]
    nodes.append(helper.make_node("Expand", ["slow.one", "slow.shape"], ["slow.0"]))
    nodes += [
        helper.make_node("MatMul", [f"slow.{i}", "slow.0"], [f"slow.{i + 1}"])
        for i in range(n_products)
    ]
    nodes += [
        helper.make_node("ReduceMean", [f"slow.{n_products}"], ["slow.mean"], keepdims=0),
        helper.make_node("Mul", ["slow.mean", "slow.zero"], ["slow.nothing"]),
        helper.make_node("Add", ["slow.loss", "slow.nothing"], ["fedge.loss"]),
    ]
    graph.node.extend(nodes)
    return replace(sound, train_graph=model.SerializeToString())


def _reads_a_file(graph: onnx.GraphProto) -> None:
    tensor = TensorProto(name="leak", data_type=TensorProto.FLOAT, dims=[16])
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", "secret.bin"), ("length", "64")):
        tensor.external_data.add(key=key, value=value)
    graph.initializer.append(tensor)


def _loops(graph: onnx.GraphProto) -> None:
    nothing = helper.make_graph([], "body", [], [])
    graph.node.append(helper.make_node("Loop", ["often", ""], [], body=nothing))
    graph.initializer.append(numpy_helper.from_array(np.array(2**62), "often"))


def _is_huge(graph: onnx.GraphProto) -> None:
    graph.initializer.append(numpy_helper.from_array(np.array([2**34]), "huge"))
    graph.node.append(helper.make_node("ConstantOfShape", ["huge"], ["zeros64"]))


def _is_custom(graph: onnx.GraphProto) -> None:
    graph.node.append(helper.make_node("Own", ["x"], ["own"], domain="evil"))


def _has_another_input(graph: onnx.GraphProto) -> None:
    graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1


def _has_another_type(graph: onnx.GraphProto) -> None:
    """float64 where the device provides float32; readers cast it first."""
    graph.input[0].type.tensor_type.elem_type = TensorProto.DOUBLE
    name = graph.input[0].name
    for node in graph.node:
        node.input[:] = ["cast" if one == name else one for one in node.input]
    graph.node.insert(0, helper.make_node("Cast", [name], ["cast"], to=TensorProto.FLOAT))


HOSTILE = {
    "reads a file": (spoilt(_reads_a_file), "another file"),
    "loops": (spoilt(_loops), "no loops"),
    "is huge": (spoilt(_is_huge), "elements in a value"),
    "has an operator of its own": (spoilt(_is_custom), "default domain"),
    "has inputs of another shape": (spoilt(_has_another_input), "expected"),
    "has inputs of another type": (spoilt(_has_another_type), "type of x in graph"),
    "takes other examples": (models.linear(n_in=3).to_bytes(), "expected shape (n, 3)"),
    "is no artifact": (b"PK not an artifact", "artifact"),
}
