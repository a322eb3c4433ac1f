"""Tensors that an exporter merged because they were equal, or copied because they were shared.

Both change what is trained: two layers that start equal would stay equal, and an embedding shared
with the output layer would drift apart from it. `settle_copies` restores what the model's author
wrote, as far as the file tells, and reports what it did.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import onnx
from onnx import helper, numpy_helper

from fedge.autodiff.dropped import restore_biases
from fedge.autodiff.exporter import Exporter, named_parameters, read_exporter, scope
from fedge.autodiff.formulas import is_constant
from fedge.autodiff.slots import Use, find_uses
from fedge.types import Array

Remarks = dict[str, str]
"""What was done, in words, by tensor name."""


def settle_copies(model: onnx.ModelProto) -> Remarks:
    """Gives every parameter a tensor of its own; changes the model, not what it computes.

    - A bias that torch's exporter dropped because it is zero is put back.
    - A copy behind Identity becomes a tensor.
    - A tensor that several modules use is split if torch's notes name different parameters there;
      without such notes, if all its elements are equal, as in untrained scales and biases, and
      it was not written by torch's older exporter (which marks what it merges).
    - A matrix that equals the table of an embedding, or is its transpose, becomes that table.
    """
    remarks: Remarks = restore_biases(model)
    _unfold(model)
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    uses, exporter = find_uses(model), read_exporter(model)
    for name in list(stored):
        for alike in _merged(stored[name], uses.get(name, []), exporter):
            new = _split(model, stored[name], alike)
            remarks[new] = f"stored once with {name}, which began equal; trained separately"
    _tie(model, remarks)
    return remarks


def _unfold(model: onnx.ModelProto) -> None:
    """Replaces each Identity of a stored tensor with a tensor."""
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    results = {info.name for info in model.graph.output}
    kept = []
    for node in model.graph.node:
        if node.op_type == "Identity" and node.input[0] in stored and node.output[0] not in results:
            stored[node.output[0]] = _copy(model, stored[node.input[0]], node.output[0])
        else:
            kept.append(node)
    del model.graph.node[:]
    model.graph.node.extend(kept)


def _copy(model: onnx.ModelProto, tensor: onnx.TensorProto, name: str) -> onnx.TensorProto:
    copy: onnx.TensorProto = model.graph.initializer.add()
    copy.CopyFrom(tensor)
    copy.name = name
    return copy


def _merged(tensor: onnx.TensorProto, uses: list[Use], exporter: Exporter) -> Iterator[list[Use]]:
    """The groups of uses that are separate parameters, except the one that keeps the name."""
    uses = [use for use in uses if use.purpose != "setting" and tensor.name in use.node.input]
    if len(uses) < 2 or tensor.data_type != onnx.TensorProto.FLOAT:
        return
    if all(named_parameters(use.node) for use in uses):
        groups = _by_names(uses, exporter.placeholders.get(tensor.name))
    elif not exporter.is_torch and tensor.dims and is_constant(_value(tensor)):
        groups = [[use] for use in uses]
    else:
        return
    yield from groups[1:]


def _by_names(uses: Iterable[Use], own: str | None) -> list[list[Use]]:
    """Uses grouped by the parameter that the exporter's notes name; those of `own` come first."""
    groups: list[tuple[set[str], list[Use]]] = [({own}, [])] if own else []
    for use in uses:
        names = set(named_parameters(use.node))
        group = next((group for group in groups if group[0] & names), None)
        if group is None:
            groups.append((names, [use]))
        else:
            group[1].append(use)
            if own not in group[0]:
                group[0].update(names)
    return [found for _, found in groups if found]


def _split(model: onnx.ModelProto, tensor: onnx.TensorProto, uses: list[Use]) -> str:
    """A copy of a tensor for some of its uses, named after their module if that is known."""
    node, leaf = uses[0].node, tensor.name.rpartition(".")[2]
    place = scope(node)
    name = f"{place}.{leaf}" if place else f"{tensor.name}.{node.name or node.output[0]}"
    taken = {other.name for other in model.graph.initializer}
    while name in taken:
        name += "_"
    _copy(model, tensor, name)
    for use in uses:
        use.node.input[use.index] = name
    return name


def _tie(model: onnx.ModelProto, remarks: Remarks) -> None:
    """Turns a matrix back into what it is a copy of: an embedding's table."""
    uses = find_uses(model)
    stored = {t.name: t for t in model.graph.initializer if len(t.dims) == 2}
    tables = [name for name in stored if any(_looks_up(use) for use in uses.get(name, []))]
    for table in tables:
        values = _value(stored[table])
        for name in [n for n in stored if n not in tables and _multiplies(uses.get(n, []))]:
            other = _value(stored[name])
            if is_constant(values) or other.size != values.size:
                continue
            if np.array_equal(other, values.T):
                _become(model, name, helper.make_node("Transpose", [table], [name], perm=[1, 0]))
            elif np.array_equal(other, values):
                _become(model, name, helper.make_node("Identity", [table], [name]))
            else:
                continue
            remarks[table] = f"shared with {name}, which had the same values; trained as one"


def _become(model: onnx.ModelProto, name: str, node: onnx.NodeProto) -> None:
    """Replaces a stored tensor with a node that computes it."""
    left = [tensor for tensor in model.graph.initializer if tensor.name != name]
    inputs = [info for info in model.graph.input if info.name != name]
    for field, kept in ((model.graph.initializer, left), (model.graph.input, inputs)):
        copies: list[object] = list(kept)
        del field[:]
        field.extend(copies)
    model.graph.node.insert(0, node)


def _looks_up(use: Use) -> bool:
    return use.node.op_type == "Gather" and use.index == 0


def _multiplies(uses: list[Use]) -> bool:
    return bool(uses) and all(use.node.op_type in ("MatMul", "Gemm") for use in uses)


def _value(tensor: onnx.TensorProto) -> Array:
    return np.asarray(numpy_helper.to_array(tensor))
