"""A standard operator in terms of other operators: onnx's own function definitions."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import onnx
from onnx import helper

from fedge.autodiff.infer import OPSET, Attributes, Tensor, attribute_value, type_proto


def is_known(op_type: str) -> bool:
    """Whether the opset of our graphs has this operator and has not deprecated it."""
    try:
        return not onnx.defs.get_schema(op_type, OPSET, "").deprecated
    except onnx.defs.SchemaError:
        return False


def body(
    op_type: str, attributes: Attributes, inputs: Sequence[Tensor | None], opset: int
) -> onnx.FunctionProto:
    """An operator's definition for these input types.

    Args:
        op_type: the operator.
        attributes: those of the node.
        inputs: types and shapes; None for an omitted optional input.
        opset: the model's.

    Raises:
        ValueError: if that opset has no such operator, or none with a definition.
    """
    function = onnx.FunctionProto()
    try:
        schema: Any = onnx.defs.get_schema(op_type, opset, "")  # its stubs lack functions
    except onnx.defs.SchemaError:
        raise ValueError(f"opset {opset} has no operator {op_type}") from None
    if schema.has_context_dependent_function:
        names = [f"input.{i}" if tensor else "" for i, tensor in enumerate(inputs)]
        node = helper.make_node(op_type, names, ["output"], **attributes)
        types = [type_proto(tensor).SerializeToString() if tensor else b"" for tensor in inputs]
        found = schema.get_context_dependent_function(node.SerializeToString(), types)
        function.ParseFromString(found)
    elif schema.has_function:
        function.CopyFrom(schema.function_body)
    if not function.node:
        raise ValueError(f"opset {OPSET} has no operator {op_type}; export with opset {OPSET}")
    return function


def attributes_of(node: onnx.NodeProto, given: Attributes) -> Iterator[tuple[str, Any]]:
    """The attributes of a node in a definition; some refer to the function's own."""
    for proto in node.attribute:
        if not proto.ref_attr_name:
            yield proto.name, attribute_value(proto)
        elif proto.ref_attr_name in given:
            yield proto.name, given[proto.ref_attr_name]


def with_defaults(
    function: onnx.FunctionProto, schema_of: str, opset: int, given: Attributes
) -> Mapping[str, Any]:
    """The attributes given, completed by the operator's defaults."""
    known = onnx.defs.get_schema(schema_of, opset, "").attributes
    defaults = {name: known[name].default_value for name in function.attribute if name in known}
    return {n: attribute_value(proto) for n, proto in defaults.items() if proto.type} | dict(given)
