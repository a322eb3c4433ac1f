"""Puts back biases that torch's exporter dropped because they are zero before training.

The exporter's optimiser removes additions of zero. But its notes still name the bias among the
arguments of the call that became a MatMul or a Gemm, which is enough to restore it.
"""

from collections import defaultdict

import numpy as np
import onnx
from onnx import helper, numpy_helper

from fedge.autodiff.exporter import call_of, named_parameters, scope


def restore_biases(model: onnx.ModelProto) -> dict[str, str]:
    """Adds the missing biases; changes the model, not what it computes.

    Returns:
        A remark for each, by its name.
    """
    parts: dict[str, list[onnx.NodeProto]] = defaultdict(list)
    for node in model.graph.node:
        if any(name.endswith("_bias") for name in named_parameters(node)):
            parts[call_of(node)].append(node)
    sizes = {t.name: list(t.dims) for t in model.graph.initializer}
    remarks = {}
    for nodes in parts.values():
        if len(nodes) == 1 and (n := _n_outputs(nodes[0], sizes)):
            remarks[_restore(model, nodes[0], n)] = "zero, so the exporter dropped it; put back"
    return remarks


def _n_outputs(node: onnx.NodeProto, sizes: dict[str, list[int]]) -> int:
    """Number of columns of a product that has lost its bias; 0 for any other node."""
    weight = sizes.get(node.input[1], []) if len(node.input) == 2 else []
    if len(weight) != 2 or node.op_type not in ("Gemm", "MatMul"):
        return 0
    is_transposed = any(a.name == "transB" and a.i for a in node.attribute)
    return weight[0 if is_transposed else 1]


def _restore(model: onnx.ModelProto, node: onnx.NodeProto, n: int) -> str:
    name = f"{scope(node) or node.name}.bias"
    taken = {tensor.name for tensor in model.graph.initializer}
    while name in taken:
        name += "_"
    model.graph.initializer.append(numpy_helper.from_array(np.zeros(n, np.float32), name))
    if node.op_type == "Gemm":
        node.input.append(name)
        return name
    result, product = node.output[0], f"{node.output[0]}.product"
    node.output[0] = product
    add = helper.make_node("Add", [product, name], [result], name=f"{node.name}.bias")
    add.metadata_props.extend(node.metadata_props)
    model.graph.node.insert(list(model.graph.node).index(node) + 1, add)
    return name
