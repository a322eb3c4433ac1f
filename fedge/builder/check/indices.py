"""Which inputs of a graph are indices into tables, and the length of the shortest table."""

from collections.abc import Iterable

import onnx

from fedge.builder.check.double import read_graph

# Operators that pass on the elements of their first inputs.
_CARRY = {
    "Cast": 1, "Identity": 1, "Reshape": 1, "Squeeze": 1, "Unsqueeze": 1, "Transpose": 1,
    "Flatten": 1, "Slice": 1, "Expand": 1, "Tile": 1, "Split": 1, "Gather": 1,
    "GatherElements": 1, "Concat": 64, "Where": 3,
}  # fmt: skip


def index_bounds(graph: bytes, inputs: Iterable[str]) -> dict[str, int]:
    """For each input that indexes a table: one more than the largest index that all tables accept.

    An input whose values enter a computation on the way is not followed.
    """
    model = onnx.shape_inference.infer_shapes(read_graph(graph))
    sizes = _sizes(model.graph)
    origin = {name: {name} for name in inputs}
    bounds: dict[str, int] = {}
    for node in model.graph.node:
        bound = _table_size(node, sizes)
        if bound:
            for name in origin.get(node.input[1], ()):
                bounds[name] = min(bound, bounds.get(name, bound))
        carried = [origin.get(name, set()) for name in node.input[: _CARRY.get(node.op_type, 0)]]
        for name in node.output:
            origin[name] = set().union(*carried)
    return bounds


def _sizes(graph: onnx.GraphProto) -> dict[str, list[int]]:
    infos = (*graph.input, *graph.value_info)
    sizes = {v.name: [dim.dim_value for dim in v.type.tensor_type.shape.dim] for v in infos}
    return sizes | {tensor.name: list(tensor.dims) for tensor in graph.initializer}


def _table_size(node: onnx.NodeProto, sizes: dict[str, list[int]]) -> int:
    """How many entries a node's second input selects from; 0 if it selects nothing."""
    if node.op_type not in ("Gather", "GatherElements"):
        return 0
    axis = next((each.i for each in node.attribute if each.name == "axis"), 0)
    size = sizes.get(node.input[0])
    return size[axis] if size else 0
