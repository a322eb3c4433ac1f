"""Graphs for tests of the check: one node or a few, and what can be wrong with them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 18


def node(op_type: str, inputs: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
    """Names are separated by spaces; `-` is an omitted input."""
    names = ["" if name == "-" else name for name in inputs.split()]
    return helper.make_node(op_type, names, outputs.split(), **attributes)


def model(
    nodes: Sequence[onnx.NodeProto],
    stored: Mapping[str, np.ndarray] | None = None,
    *,
    shape: Sequence[int | str] = (4,),
    opset: int = OPSET,
) -> onnx.ModelProto:
    """A model from `x`, float32 of this shape, to `y`."""
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_value_info("y", onnx.TypeProto())],
        [numpy_helper.from_array(value, name) for name, value in (stored or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def elsewhere(name: str = "w", location: str = "secret.bin") -> onnx.TensorProto:
    """A tensor of 64 bytes that is stored in another file."""
    tensor = TensorProto(name=name, data_type=TensorProto.UINT8, dims=[64])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    return tensor


def integers(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def scan(length: int, *, body: Sequence[onnx.NodeProto], out: str = "s2") -> onnx.ModelProto:
    """A sum over the rows of x (length, 4): state s (4,), row r (4,)."""
    vector = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [4]) for name in ("s", "r")]
    results = [helper.make_value_info(name, onnx.TypeProto()) for name in (out, "o")]
    inner = helper.make_graph([*body, node("Identity", "r", "o")], "body", vector, results)
    outer = node("Scan", "zero x", "last y", body=inner, num_scan_inputs=1)
    return model([outer], {"zero": np.zeros(4, np.float32)}, shape=(length, 4))
