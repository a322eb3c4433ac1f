"""Which of a model's tensors are parameters: one rule, and the reason for each verdict.

A tensor is a parameter if its exporter says so. Otherwise it is one

- at the weight or bias of an operator that has them (Conv, Gemm, MatMul, Gather, normalisations,
  PRelu, recurrent layers), unless the exporter says that it is a buffer, or torch's exporter
  wrote it as a Constant, as it does with tensors that no module owns;
  - in arithmetic (Add, Sub, Mul, Div, Concat, Where, ...), if it has more than one element (one is
  enough where torch's exporters say that a module owns it), is not a mask, follows no formula,
  and does not standardise the model's input.

Bounds, exponents, fill values, initial states and all other settings are not parameters. Those
tensors are constants of the graph: they have no place in the flat vector, and hence in no delta,
unless the user asks for it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import onnx
from onnx import numpy_helper

from fedge.autodiff.exporter import Exporter, read_exporter
from fedge.autodiff.formulas import is_constant, is_formula, is_mask, padding_row
from fedge.autodiff.graph import Graph, Name
from fedge.autodiff.infer import attribute_value
from fedge.autodiff.slots import Purpose, Use, find_uses, raw_inputs
from fedge.errors import ModelError
from fedge.types import Array

Kind = Literal["weight", "bias", "statistic"]

# These store a parameter in another type, or rename a result.
_VEILS = ("Identity", "Cast", "DequantizeLinear")
# An added parameter may start at zero or at anything; a factor may not.
_ADDED = ("Add", "Sub", "Sum")


@dataclass(frozen=True, slots=True)
class Parameter:
    """A floating-point tensor that the model came with, and what it is for."""

    value: Array
    kind: Kind


@dataclass(frozen=True, slots=True)
class Stored:
    """A floating-point tensor that a model came with, and the rule's verdict on it.

    Attributes:
        name: its name in the graphs.
        value: its values.
        kind: what it would be in the layout.
        is_parameter: whether the rule takes it to be a parameter.
        why: the reason, in words.
        is_doubtful: whether the file could mean the opposite.
        padding: the row of an embedding's table that stays zero, if there is one.
    """

    name: Name
    value: Array
    kind: Kind
    is_parameter: bool
    why: str
    is_doubtful: bool = False
    padding: int | None = None

    @property
    def parameter(self) -> Parameter:
        return Parameter(self.value, self.kind)


@dataclass(frozen=True, slots=True)
class _Evidence:
    """What the rule looks at."""

    exporter: Exporter
    literals: frozenset[Name]  # results of Constant nodes
    raw: frozenset[Name]  # the model's inputs, also after reshapes


def find_stored(model: onnx.ModelProto) -> dict[Name, Stored]:
    """Every floating-point tensor that an operator computes with, in order of first use.

    A tensor behind a Cast or DequantizeLinear takes the name of that node's output.

    Raises:
        ModelError: if a tensor's data cannot be read.
    """
    values, literals = _values(model)
    evidence = _Evidence(read_exporter(model), frozenset(literals), frozenset(raw_inputs(model)))
    uses = find_uses(model)
    order = _order(model.graph.node, values)
    judged = (_judge(name, values[name], uses.get(name, ()), evidence) for name in order)
    return {found.name: _with_padding(found, uses.get(found.name, ())) for found in judged}


def read_tensor(tensor: onnx.TensorProto) -> Array:
    """The value of a tensor stored in the model itself."""
    try:
        return np.asarray(numpy_helper.to_array(tensor))
    except (ValueError, TypeError, KeyError) as error:
        raise ModelError(f"initializer {tensor.name!r} cannot be read: {error}") from None


def _values(model: onnx.ModelProto) -> tuple[dict[Name, Array], set[Name]]:
    """Stored floating-point tensors by name, and which of them come from Constant nodes."""
    constants = {tensor.name: read_tensor(tensor) for tensor in model.graph.initializer}
    literals = set()
    for node in model.graph.node:
        constants.update(_constant_results(node, constants))
        if node.op_type == "Constant":
            literals.update(node.output)
    return {name: value for name, value in constants.items() if value.dtype.kind == "f"}, literals


def _constant_results(node: onnx.NodeProto, constants: Mapping[Name, Array]) -> dict[Name, Array]:
    if node.op_type == "Constant" and node.attribute and node.attribute[0].name == "value":
        return {node.output[0]: read_tensor(node.attribute[0].t)}
    if node.op_type not in _VEILS or not all(name in constants for name in node.input):
        return {}
    g = Graph()
    attributes = {proto.name: attribute_value(proto) for proto in node.attribute}
    inputs = [g.constant(constants[name]) if name else "" for name in node.input]
    try:
        return {node.output[0]: g.constants[g.op(node.op_type, *inputs, **attributes)]}
    except (ValueError, KeyError) as error:
        raise ModelError(f"node {node.name!r} ({node.op_type}) {error}") from None


def _order(nodes: Sequence[onnx.NodeProto], values: Mapping[Name, Array]) -> list[Name]:
    read = (
        name
        for node in nodes
        if not (node.output and node.output[0] in values)  # an alias: read only under its new name
        for name in node.input
    )
    return [name for name in dict.fromkeys(read) if name in values]


def _judge(name: Name, value: Array, uses: Iterable[Use], evidence: _Evidence) -> Stored:
    """The rule, for one tensor: the strongest of its uses decides."""
    found = [_judge_use(name, value, use, evidence) for use in uses]
    if not found:
        return Stored(name, value, "weight", is_parameter=False, why="no operator computes with it")
    best = max(found, key=lambda stored: (stored.kind == "statistic", stored.is_parameter))
    kinds = {stored.kind for stored in found if stored.is_parameter == best.is_parameter}
    kind: Kind = "weight" if kinds == {"weight", "bias"} else best.kind
    role = evidence.exporter.roles.get(name)
    if role is None or best.kind == "statistic":
        return replace(best, kind=kind)
    why = f"a {role} of the module, according to the exporter"
    return Stored(name, value, kind, is_parameter=role == "parameter", why=why)


def _with_padding(stored: Stored, uses: Iterable[Use]) -> Stored:
    """With the padding row of a table that is only looked up, as torch creates it."""
    only_looked_up = all(use.node.op_type == "Gather" and use.index == 0 for use in uses)
    row = padding_row(stored.value) if stored.is_parameter and only_looked_up else None
    if row is None:
        return stored
    why = f"{stored.why}; its row {row} is zero, taken as padding, and stays zero"
    return replace(stored, padding=row, why=why, is_doubtful=True)


def _judge_use(name: Name, value: Array, use: Use, evidence: _Evidence) -> Stored:
    op_type, purpose = use.node.op_type, use.purpose
    kind = _kind(op_type, purpose)
    stored = Stored(name, value, kind, is_parameter=True, why=f"{kind} of {op_type}")
    if purpose == "setting":
        return replace(stored, is_parameter=False, why=f"a setting of {op_type}")
    if purpose == "arithmetic":
        return _judge_arithmetic(stored, use, evidence)
    exporter = evidence.exporter
    is_neutral = op_type == "InstanceNormalization" and bool(exporter.roles) and is_constant(value)
    if exporter.is_torch and (name in evidence.literals or is_neutral):
        why = f"{kind} of {op_type}, but no module owns it"
        return replace(stored, is_parameter=False, why=why, is_doubtful=True)
    return stored


def _judge_arithmetic(stored: Stored, use: Use, evidence: _Evidence) -> Stored:
    """For operators to which a learned tensor and a hand-written one look the same."""
    op_type, value = use.node.op_type, stored.value
    exporter = evidence.exporter
    is_literal = stored.name in evidence.literals
    is_owned = exporter.is_torch and not exporter.roles and _is_state(stored.name)

    def left_out(why: str, *, is_doubtful: bool = False) -> Stored:
        return replace(stored, is_parameter=False, why=why, is_doubtful=is_doubtful)

    if exporter.is_torch and is_literal:
        return left_out(f"values of {op_type} that no module owns", is_doubtful=value.size > 1)
    if value.size == 1 and not is_owned and (is_literal or not value.ndim or exporter.is_torch):
        is_folded = exporter.is_torch and not exporter.roles and not is_literal
        return left_out(f"a single number of {op_type}", is_doubtful=is_folded)
    if is_mask(value):
        return left_out("a mask")
    if is_formula(value):
        return left_out("a table computed by a formula", is_doubtful=True)
    if op_type in ("Sub", "Div") and not evidence.raw.isdisjoint(use.others):
        return left_out("standardises the input", is_doubtful=True)
    is_table = sum(size > 1 for size in value.shape) > 1
    doubtful = value.size == 1 or is_table or not evidence.raw.isdisjoint(use.others)
    return replace(stored, why=f"learned by {op_type}", is_doubtful=doubtful)


def _kind(op_type: str, purpose: Purpose) -> Kind:
    match purpose:
        case "weight" | "bias" | "statistic":
            return purpose
        case "arithmetic" | "setting":
            return "bias" if op_type in _ADDED else "weight"


def _is_state(name: Name) -> bool:
    """Whether torch gave this name because a module owns the tensor, not for where it is used."""
    return not name.startswith(("onnx::", "/", "val_")) and not name.isdecimal()
