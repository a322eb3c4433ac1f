"""Reads an ONNX model into a graph: every shape static, every operator in one form."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import onnx

from fedge.autodiff.forms import Call, emit
from fedge.autodiff.graph import Graph, Name
from fedge.autodiff.infer import Tensor, attribute_value, numpy_dtype
from fedge.autodiff.parameters import Parameter, find_stored, read_tensor
from fedge.errors import ModelError

_OLDEST_OPSET = 7  # earlier ones had other broadcasting rules
_RANDOM = (
    "RandomNormal",
    "RandomUniform",
    "RandomNormalLike",
    "RandomUniformLike",
    "Bernoulli",
    "Multinomial",
)


@dataclass(frozen=True, slots=True)
class Traced:
    """A model as a graph whose inputs are the data and every parameter."""

    graph: Graph
    inputs: tuple[Name, ...]  # the data inputs, batch first
    parameters: Mapping[Name, Parameter]
    outputs: tuple[Name, ...]
    names: Mapping[str, Name]  # the model's name for each value to the graph's


@dataclass(slots=True)
class _Reader:
    """What is known while nodes are read one by one."""

    graph: Graph
    opset: int
    names: dict[str, Name]  # the user's name for a value to the graph's
    data: set[Name]  # values that depend on inputs, not only on parameters
    batch: tuple[int, int] | None
    paddings: Mapping[str, int]  # rows of tables that stay zero
    withheld: dict[str, str] = field(default_factory=dict)  # outputs that training cannot provide


def trace(
    model: onnx.ModelProto,
    *,
    batch_size: int,
    input_shapes: Mapping[str, Sequence[int]] | None = None,
    wanted: Collection[Name] | None = None,
) -> Traced:
    """The model as a graph at one batch size.

    Args:
        model: opset 7 or later, without control flow.
        batch_size: replaces the first axis of every input, even one that the
            model fixes (and constant Reshape targets that repeat it).
        input_shapes: for inputs with other open axes, the shape of one example.
        wanted: which of `find_stored` become inputs of the graph; None means those that the rule
            takes to be parameters. The others become constants.

    Raises:
        ModelError: naming the node and operator that cannot be read, and a remedy.
    """
    opset = _opset(model)
    stored = find_stored(model)
    if wanted is None:
        wanted = [name for name, found in stored.items() if found.is_parameter]
    parameters = {name: stored[name].parameter for name in stored if name in wanted}
    g = Graph()
    tensors = input_tensors(model, batch_size, input_shapes or {})
    values = {name: Tensor(p.value.dtype, p.value.shape) for name, p in parameters.items()}
    for name, tensor in {**tensors, **values}.items():
        g.add_input(name, tensor)
    names = {name: name for name in g.tensors}
    paddings = {n: s.padding for n, s in stored.items() if s.padding is not None}
    batch = _rebatching(model, tensors, batch_size)
    reader = _Reader(g, opset, names, set(tensors), batch, paddings)
    for tensor in model.graph.initializer:
        if tensor.name not in parameters:
            names[tensor.name] = g.constant(read_tensor(tensor))
    names.update({n: g.constant(s.value) for n, s in stored.items() if n not in parameters})
    for node in model.graph.node:
        if node.output and node.output[0] not in stored:
            _read(reader, node)
    outputs = tuple(_lookup(reader, info.name, "the output") for info in model.graph.output)
    return Traced(g, tuple(tensors), parameters, outputs, names)


def input_tensors(
    model: onnx.ModelProto, batch_size: int, examples: Mapping[str, Sequence[int]]
) -> dict[Name, Tensor]:
    """Type and shape of each data input, at a batch size.

    Raises:
        ModelError: if an input has no batch axis, or a size remains open.
    """
    stored = {tensor.name for tensor in model.graph.initializer}
    data = [info for info in model.graph.input if info.name not in stored]
    tensors = {info.name: _tensor(info, batch_size, examples.get(info.name)) for info in data}
    for name in examples.keys() - tensors.keys():
        raise ModelError(f"the model has no input {name!r}; it has {', '.join(map(repr, tensors))}")
    if not tensors:
        raise ModelError("the model has no input to feed examples to")
    return tensors


def _rebatching(
    model: onnx.ModelProto, tensors: Mapping[Name, Tensor], batch_size: int
) -> tuple[int, int] | None:
    """The batch size that the model fixes and the one wanted, if it fixes one."""
    data = [info for info in model.graph.input if info.name in tensors]
    fixed = {info.type.tensor_type.shape.dim[0].dim_value for info in data} - {0}
    return (fixed.pop(), batch_size) if len(fixed) == 1 else None


def _opset(model: onnx.ModelProto) -> int:
    opset = max((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), default=1)
    if not model.graph.node or not model.graph.output:
        raise ModelError("the model has no nodes or no outputs; is this an ONNX model?")
    if opset < _OLDEST_OPSET:
        raise ModelError(
            f"the model has opset {opset}; convert it to {_OLDEST_OPSET} or later "
            "(onnx.version_converter.convert_version)"
        )
    return opset


def _tensor(info: onnx.ValueInfoProto, batch_size: int, example: Sequence[int] | None) -> Tensor:
    kind = info.type.tensor_type
    dims = [dim.dim_value for dim in kind.shape.dim]
    shape = [batch_size, *(dims[1:] if example is None else example)]
    if not dims or min(shape) < 1 or len(shape) != len(dims):
        raise ModelError(
            f"input {info.name!r} has shape {_readable(info)}; it needs a batch axis first "
            "and fixed sizes after it: give the shape of one example (input_shapes, --input-shape),"
            " or its value if it is not data (input_values, --input-value)"
        )
    try:
        return Tensor(numpy_dtype(kind.elem_type), tuple(shape))
    except ValueError as error:
        raise ModelError(f"input {info.name!r} cannot be fed: {error}") from None


def _readable(info: onnx.ValueInfoProto) -> str:
    dims = info.type.tensor_type.shape.dim
    return "[" + ", ".join(dim.dim_param or str(dim.dim_value or "?") for dim in dims) + "]"


def _read(reader: _Reader, node: onnx.NodeProto) -> None:
    """Adds one node of the model to the graph."""
    g, title = reader.graph, f"node {node.name or node.output[0]!r} ({node.op_type})"
    _refuse_foreign(node, title)
    call = Call(
        op_type=node.op_type,
        inputs=tuple(_lookup(reader, name, title) for name in node.input),
        attributes={proto.name: attribute_value(proto) for proto in node.attribute},
        n_outputs=len(node.output),
        opset=reader.opset,
        batch=reader.batch,
    )
    call = replace(call, reads_data=not reader.data.isdisjoint(call.inputs))
    n_before = len(g.nodes)
    try:
        outputs = emit(g, call)
        if node.op_type == "Gather" and node.input[0] in reader.paddings:
            outputs = (_unpadded(g, call, outputs[0], reader.paddings[node.input[0]]),)
    except (ValueError, KeyError, IndexError, ZeroDivisionError) as error:
        raise ModelError(f"{title} cannot be prepared for training: {error}") from None
    made = [name for added in g.nodes[n_before:] for name in added.outputs]
    g.origins.update(dict.fromkeys(made, node.name or node.output[0]))
    reader.names.update(zip(node.output, outputs, strict=False))
    reader.withheld.update(dict.fromkeys(node.output[len(outputs) :], title))
    if call.reads_data:
        reader.data.update(made, outputs)


def _unpadded(g: Graph, call: Call, looked_up: Name, row: int) -> Name:
    """The same values, but zero where the index is the padding row's, so it gets no gradient."""
    if call.attributes.get("axis", 0) != 0:
        return looked_up
    index = call.inputs[1]
    padding = g.constant(np.asarray(row, g.tensors[index].dtype))
    kept = g.mask(g.op("Not", g.op("Equal", index, padding)), like=looked_up)
    column = (*g.shape(index), *[1] * (g.rank(looked_up) - g.rank(index)))
    return g.op("Mul", looked_up, g.reshape(kept, column))


def _lookup(reader: _Reader, name: str, title: str) -> Name:
    if name in reader.withheld:
        raise ModelError(
            f"{reader.withheld[name]} has the output {name!r}, which training cannot provide, and "
            f"{title} reads it; remove that"
        )
    if name and name not in reader.names:
        raise ModelError(f"{title} reads {name!r}, which no earlier node or input provides")
    return reader.names[name] if name else ""


def _refuse_foreign(node: onnx.NodeProto, title: str) -> None:
    if node.domain not in ("", "ai.onnx"):
        raise ModelError(f"{title} is from domain {node.domain!r}; export only standard operators")
    if any(proto.HasField("g") or proto.graphs for proto in node.attribute):
        raise ModelError(f"{title} is control flow; export the model without loops and branches")
    if node.op_type in _RANDOM:
        raise ModelError(f"{title} draws random numbers; remove it for training")
