"""Finds the parameters of a model, wherever its exporter put them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import onnx
from onnx import numpy_helper

from fedge.autodiff.graph import Graph, Name
from fedge.autodiff.infer import attribute_value
from fedge.errors import ModelError
from fedge.types import Array

Kind = Literal["weight", "bias", "statistic"]

# Behind these an exporter hides a parameter: shared through Identity where two
# happened to be equal, kept in fewer bits through the other two.
_VEILS = ("Identity", "Cast", "DequantizeLinear")

# Inputs that are settings of an operator, not parameters of a model.
_SETTINGS = {
    "Clip": (1, 2),
    "Pad": (2,),
    "Resize": (1, 2),
    "Dropout": (1,),
    "OneHot": (2,),
    "QuantizeLinear": (1, 2),
    "DequantizeLinear": (1, 2),
}
_STATISTICS = {"BatchNormalization": (3, 4)}
_BIASES: dict[str, tuple[int, ...]] = {
    "Conv": (2,),
    "ConvTranspose": (2,),
    "Gemm": (2,),
    "BatchNormalization": (2,),
}
_BIASES |= {"LayerNormalization": (2,), "Add": (0, 1)}


@dataclass(frozen=True, slots=True)
class Parameter:
    """A tensor of floating type that the model came with, and what it is for."""

    value: Array
    kind: Kind


def find_parameters(model: onnx.ModelProto) -> dict[Name, Parameter]:
    """The parameters of a model by name, in the order in which nodes first use them.

    A parameter is an initialiser of floating type with at least one axis, or
    such a constant with more than one element. Behind Identity, Cast or
    DequantizeLinear it takes the name of the output, so that two parameters
    that an exporter stored once because they were equal are two again.

    Raises:
        ModelError: if a tensor's data cannot be read.
    """
    constants = {tensor.name: read_tensor(tensor) for tensor in model.graph.initializer}
    found = {name: value for name, value in constants.items() if value.ndim}
    for node in model.graph.node:
        for name, value in _constant_results(node, constants).items():
            constants[name] = value
            if value.size > 1 or node.op_type in _VEILS:
                found[name] = value
    found = {name: value for name, value in found.items() if value.dtype.kind == "f"}
    return _used(model.graph.node, found)


def read_tensor(tensor: onnx.TensorProto) -> Array:
    """The value of a tensor stored in the model itself."""
    try:
        return np.asarray(numpy_helper.to_array(tensor))
    except (ValueError, TypeError, KeyError) as error:
        raise ModelError(f"initializer {tensor.name!r} cannot be read: {error}") from None


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
    except ValueError as error:
        raise ModelError(f"node {node.name!r} ({node.op_type}) {error}") from None


def _used(nodes: Sequence[onnx.NodeProto], found: Mapping[Name, Array]) -> dict[Name, Parameter]:
    """Those that an operator computes with; what it does with them tells their kind."""
    parameters: dict[Name, Parameter] = {}
    for node in nodes:
        if node.output and node.output[0] in found:
            continue  # a veil: what it reads is used under the new name only
        for i, name in enumerate(node.input):
            if name in found and i not in _SETTINGS.get(node.op_type, ()):
                seen = parameters.setdefault(name, Parameter(found[name], "weight"))
                parameters[name] = replace(seen, kind=_kind(node.op_type, i, seen.kind))
    return parameters


def _kind(op_type: str, index: int, otherwise: Kind) -> Kind:
    if index in _STATISTICS.get(op_type, ()):
        return "statistic"
    return "bias" if index in _BIASES.get(op_type, ()) else otherwise
