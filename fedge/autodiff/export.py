"""A graph as an ONNX model: only what its outputs need."""

from collections.abc import Iterable, Mapping, Sequence

import onnx
from onnx import helper, numpy_helper

from fedge.autodiff.graph import Graph, Name, Node
from fedge.autodiff.infer import OPSET, is_optional_output

_IR_VERSION = 8  # the first with opset 18; onnxruntime 1.20 reads up to 10


def to_model(g: Graph, inputs: Sequence[Name], outputs: Mapping[str, Name]) -> onnx.ModelProto:
    """The part of a graph that computes the outputs.

    Args:
        g: the graph; it is not changed.
        inputs: the model's inputs, in order; kept even if nothing needs them.
        outputs: public name to value.
    """
    nodes = live_nodes(g, outputs.values())
    used = {name for node in nodes for name in node.inputs} | set(outputs.values())
    names, copies = _public_names(nodes, outputs)
    protos = [_proto(node, used, names) for node in nodes] + copies
    graph = helper.make_graph(
        protos,
        "fedge",
        [_value_info(g, name, name) for name in inputs],
        [_value_info(g, name, public) for public, name in outputs.items()],
        [numpy_helper.from_array(v, name) for name, v in g.constants.items() if name in used],
    )
    return helper.make_model(
        graph,
        producer_name="fedge",
        ir_version=_IR_VERSION,
        opset_imports=[helper.make_opsetid("", OPSET)],
    )


def to_bytes(model: onnx.ModelProto) -> bytes:
    """A model as the content of a file; the same bytes for the same model."""
    return bytes(model.SerializeToString(deterministic=True))


def live_nodes(g: Graph, results: Iterable[Name]) -> list[Node]:
    """The nodes that the results depend on, in order."""
    live = set(results)
    kept: list[Node] = []
    for node in reversed(g.nodes):
        if not live.isdisjoint(node.outputs):
            live.update(node.inputs)
            kept.append(node)
    return kept[::-1]


def _public_names(
    nodes: Sequence[Node], outputs: Mapping[str, Name]
) -> tuple[dict[Name, str], list[onnx.NodeProto]]:
    """Renames each result once; a result that is an input, or has two names, is copied."""
    produced = {name for node in nodes for name in node.outputs}
    names: dict[Name, str] = {}
    copies = []
    for public, name in outputs.items():
        if name in produced and name not in names:
            names[name] = public
        else:
            copies.append(helper.make_node("Identity", [names.get(name, name)], [public]))
    return names, copies


def _proto(node: Node, used: set[Name], names: Mapping[Name, str]) -> onnx.NodeProto:
    outputs = [names.get(name, name) for name in node.outputs]
    # An output nobody reads is left out: MaxPool is six times slower if asked for its indices.
    while node.outputs[len(outputs) - 1] not in used and is_optional_output(
        node.op_type, len(outputs) - 1
    ):
        outputs.pop()
    inputs = [names.get(name, name) for name in node.inputs]
    return helper.make_node(node.op_type, inputs, outputs, **node.attributes)


def _value_info(g: Graph, name: Name, public: str) -> onnx.ValueInfoProto:
    tensor = g.tensors[name]
    element = helper.np_dtype_to_tensor_dtype(tensor.dtype)
    return helper.make_tensor_value_info(public, element, tensor.shape)
