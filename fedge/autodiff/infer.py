"""What onnx knows about single nodes: attribute defaults, output shapes, constant values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper, shape_inference
from onnx.reference import ReferenceEvaluator

from fedge.types import Array

# The opset every graph is written in. Older and newer models are converted node
# by node, so that a gradient rule meets only one form of its operator.
OPSET = 18

# The values of larger constants never determine a shape.
_LARGEST_SHAPE_DATA = 1024
# The reference has DequantizeLinear only from opset 19 on; nodes of 18 mean the same in 21.
_REFERENCE_OPSET = 21
_LARGEST_FOLDED = 2**26

_REFERENCE_ERRORS = (
    *(NotImplementedError, RuntimeError, TypeError, IndexError, KeyError, ValueError),
    AttributeError,
)

Attributes = Mapping[str, Any]


class NotEvaluatedError(Exception):
    """onnx's reference cannot compute a node of constant inputs; a runtime may be able to."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """Element type and static shape of a value in a graph."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    @property
    def is_float(self) -> bool:
        return self.dtype.kind == "f"


@cache
def schema(op_type: str) -> onnx.defs.OpSchema:
    """The definition of a standard operator; ValueError if opset 18 has none."""
    try:
        return onnx.defs.get_schema(op_type, OPSET, "")
    except onnx.defs.SchemaError:
        raise ValueError(f"opset {OPSET} has no operator {op_type}") from None


def is_optional_output(op_type: str, index: int) -> bool:
    """Whether a node may omit the output at this index."""
    outputs = schema(op_type).outputs
    formal = outputs[min(index, len(outputs) - 1)]
    return formal.option == onnx.defs.OpSchema.FormalParameterOption.Optional


@cache
def default_attributes(op_type: str) -> Attributes:
    """The attributes an operator has unless a node says otherwise."""
    attributes = schema(op_type).attributes
    defaults = {name: attributes[name].default_value for name in sorted(attributes)}
    return {name: attribute_value(proto) for name, proto in defaults.items() if proto.type}


def attribute_value(proto: onnx.AttributeProto) -> Any:
    """An attribute as plain Python: text instead of bytes, tuples instead of lists."""
    value = helper.get_attribute_value(proto)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, int | float | onnx.TensorProto) else tuple(value)


def infer_outputs(
    proto: onnx.NodeProto, tensors: Mapping[str, Tensor], constants: Mapping[str, Array]
) -> list[Tensor]:
    """Types and shapes of a node's outputs; ValueError if they are not static."""
    used = {name for name in proto.input if name}
    types = {name: type_proto(tensors[name]) for name in used}
    small = used & constants.keys()
    data = {
        name: numpy_helper.from_array(constants[name], name)
        for name in small
        if constants[name].size <= _LARGEST_SHAPE_DATA
    }
    opset = [helper.make_opsetid("", OPSET)]
    try:
        found = shape_inference.infer_node_outputs(
            schema(proto.op_type), proto, types, data, opset_imports=opset
        )
    except (shape_inference.InferenceError, onnx.checker.ValidationError) as error:
        raise ValueError(str(error).partition("\n")[0]) from None
    return [_static_tensor(found[name]) for name in proto.output if name]


def evaluate(
    proto: onnx.NodeProto, values: Mapping[str, Array], outputs: Sequence[Tensor]
) -> list[Array]:
    """The outputs of a node with constant inputs, computed by onnx's reference.

    Raises:
        ValueError: if one would be too large.
        NotEvaluatedError: if the reference cannot compute it.
    """
    if max(int(np.prod(tensor.shape, dtype=object)) for tensor in outputs) > _LARGEST_FOLDED:
        raise ValueError(f"a constant has more than {_LARGEST_FOLDED} elements")
    if proto.op_type == "GatherElements":  # the reference fails if shapes differ
        x, indices = (values[name] for name in proto.input)
        (axis,) = (attribute.i for attribute in proto.attribute)
        return [np.take_along_axis(x[_corner(x, indices, axis)], indices, axis)]
    inputs = [
        helper.make_value_info(name, type_proto(Tensor(value.dtype, value.shape)))
        for name, value in values.items()
    ]
    results = [helper.make_value_info(name, onnx.TypeProto()) for name in proto.output]
    graph = helper.make_graph([proto], "constant", inputs, results)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _REFERENCE_OPSET)])
    try:
        with np.errstate(all="ignore"):
            found = ReferenceEvaluator(model).run(None, dict(values))
    except _REFERENCE_ERRORS as error:
        raise NotEvaluatedError(str(error).partition("\n")[0]) from None
    return [np.asarray(value, order="C") for value in found]


def _corner(x: Array, indices: Array, axis: int) -> tuple[slice, ...]:
    """The part of x that the indices reach: their size on every axis except the given one."""
    return tuple(
        slice(None) if i == axis % x.ndim else slice(n) for i, n in enumerate(indices.shape)
    )


def numpy_dtype(element_type: int) -> np.dtype[Any]:
    """NumPy's dtype for one of ONNX's element types; ValueError if there is none."""
    try:
        return np.dtype(helper.tensor_dtype_to_np_dtype(element_type))
    except (KeyError, TypeError):
        raise ValueError(f"element type {element_type} is not known") from None


def type_proto(tensor: Tensor) -> onnx.TypeProto:
    """The ONNX form of a type with a static shape."""
    element = helper.np_dtype_to_tensor_dtype(tensor.dtype)
    return helper.make_tensor_type_proto(element, tensor.shape)


def _static_tensor(found: onnx.TypeProto) -> Tensor:
    kind = found.tensor_type
    dims = [dim.dim_value if dim.HasField("dim_value") else None for dim in kind.shape.dim]
    shape = tuple(dim for dim in dims if dim is not None)
    if not kind.HasField("shape") or len(shape) != len(dims):
        raise ValueError("the shape of its output depends on the data")
    return Tensor(numpy_dtype(kind.elem_type), shape)
