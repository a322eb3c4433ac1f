"""Which of a model's values is trained; reduces the model to what that value needs."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import onnx
from onnx import TensorProto, helper

from fedge.builder.protos import replace_items
from fedge.errors import ConfigError, ModelError

_FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16)
_NAMED = 20  # names listed in a refusal


@dataclass(frozen=True, slots=True)
class Output:
    """The value that the loss applies to, and the model's other outputs, which are left out."""

    name: str
    left_out: tuple[str, ...] = ()


def choose_output(model: onnx.ModelProto, name: str | None = None) -> Output:
    """Makes one value the model's only output, and removes everything that it does not need.

    Args:
        model: is changed; nodes, tensors and inputs that the value does not need are removed.
        name: of an output, or of any value that a node computes; None means the only
            floating-point output. If that is a list of dictionaries, which is how scikit-learn's
            converter writes class probabilities (ZipMap), it is the tensor they are made from.

    Raises:
        ConfigError: if no node computes a value of that name.
        ModelError: if no name is given, and there are no or several floating-point outputs.
    """
    outputs = {info.name: _tensor(model, info) for info in model.graph.output}
    if not outputs:
        raise ModelError("the model has no nodes or no outputs; is this an ONNX model?")
    chosen = _only_float(outputs) if name is None else _named(model, outputs, name)
    _keep(model.graph, [chosen])
    left_out = (other for other, info in outputs.items() if info.name != chosen.name)
    return Output(chosen.name, tuple(left_out))


def shape_output(model: onnx.ModelProto, sizes: Sequence[int]) -> None:
    """Writes down the only output's shape if the file does not: a batch of these sizes."""
    kind = model.graph.output[0].type.tensor_type
    if not kind.HasField("shape"):
        kind.shape.dim.add().CopyFrom(_batch_axis(model.graph))
        for size in sizes:
            kind.shape.dim.add(dim_value=size)


def _batch_axis(graph: onnx.GraphProto) -> onnx.TensorShapeProto.Dimension:
    stored = {tensor.name for tensor in graph.initializer}
    data = next(info for info in graph.input if info.name not in stored)
    axis: onnx.TensorShapeProto.Dimension = data.type.tensor_type.shape.dim[0]
    return axis


def _tensor(model: onnx.ModelProto, info: onnx.ValueInfoProto) -> onnx.ValueInfoProto:
    """The output, or the tensor that a list of dictionaries is made from."""
    maker = next((node for node in model.graph.node if info.name in node.output), None)
    if maker is None or maker.op_type != "ZipMap":
        return info
    return helper.make_tensor_value_info(maker.input[0], TensorProto.FLOAT, None)


def _only_float(outputs: dict[str, onnx.ValueInfoProto]) -> onnx.ValueInfoProto:
    """The output that can be trained: the one that is not a label, an index or text."""
    found = {info.name: info for info in outputs.values() if _is_float(info)}
    if len(found) == 1:
        return next(iter(found.values()))
    names = ", ".join(repr(name) for name in list(found or outputs)[:_NAMED])
    what = f"has several outputs: {names}" if found else f"has no numeric output, only {names}"
    raise ModelError(f"the model {what}; name the value to train with --output NAME (output=)")


def _is_float(info: onnx.ValueInfoProto) -> bool:
    """True also if the file does not say."""
    kind = info.type.WhichOneof("value")
    element = info.type.tensor_type.elem_type
    return kind is None or (kind == "tensor_type" and element in (*_FLOATS, 0))


def _named(
    model: onnx.ModelProto, outputs: dict[str, onnx.ValueInfoProto], name: str
) -> onnx.ValueInfoProto:
    if name in outputs:
        return outputs[name]
    if not any(name in node.output for node in model.graph.node if name):
        names = ", ".join(repr(known) for known in list(outputs)[:_NAMED])
        raise ConfigError(f"no node of the model computes {name!r}; its outputs are {names}")
    known = onnx.shape_inference.infer_shapes(model).graph.value_info
    float32 = helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
    return next((info for info in known if info.name == name), float32)


def _keep(graph: onnx.GraphProto, outputs: Iterable[onnx.ValueInfoProto]) -> None:
    """Removes everything that these outputs do not need."""
    kept = list(outputs)
    needed = {info.name for info in kept}
    nodes = []
    for node in reversed(graph.node):
        if not needed.isdisjoint(node.output):
            nodes.append(node)
            needed.update(_read(node))
    inputs = [info for info in graph.input if info.name in needed]
    tensors = [tensor for tensor in graph.initializer if tensor.name in needed]
    infos = [info for info in graph.value_info if info.name in needed]
    replace_items(graph.node, reversed(nodes))
    replace_items(graph.input, inputs)
    replace_items(graph.initializer, tensors)
    replace_items(graph.value_info, infos)
    replace_items(graph.output, kept)


def _read(node: onnx.NodeProto) -> Iterator[str]:
    """The names that a node reads, including in its subgraphs."""
    yield from node.input
    for attribute in node.attribute:
        for graph in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
            yield from (info.name for info in graph.output)
            for inner in graph.node:
                yield from _read(inner)
