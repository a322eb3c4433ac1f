"""A graph in float64: the same function, to sixteen digits instead of seven."""

from collections.abc import Iterable

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped] # has no stubs
from onnx import AttributeProto, NodeProto, TensorProto, helper, numpy_helper

from fedge.errors import ArtifactError

_ELEMENT_TYPES = ("to", "dtype")  # attributes that name one


def read_graph(graph: bytes) -> onnx.ModelProto:
    """One of an artifact's graphs.

    Raises:
        ArtifactError: if onnx cannot read it.
    """
    try:
        return onnx.load_from_string(graph)
    except DecodeError as error:
        raise ArtifactError("graph", expected="one onnx can read", found=str(error)) from None


def in_double(graph: bytes) -> onnx.ModelProto:
    """The model with every float32 input, constant, cast and output turned into float64.

    Constants keep their float32 values, so only the rounding between operators disappears.
    """
    model = read_graph(graph)
    _widen(model.graph)
    return model


def _widen(graph: onnx.GraphProto) -> None:
    for info in (*graph.input, *graph.output, *graph.value_info):
        if info.type.tensor_type.elem_type == TensorProto.FLOAT:
            info.type.tensor_type.elem_type = TensorProto.DOUBLE
    _widen_tensors(graph.initializer)
    for node in graph.node:
        _widen_node(node)


def _widen_tensors(tensors: Iterable[TensorProto]) -> None:
    for tensor in tensors:
        if tensor.data_type == TensorProto.FLOAT:
            values = numpy_helper.to_array(tensor).astype(np.float64)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def _widen_node(node: NodeProto) -> None:
    if node.op_type == "ConstantOfShape" and not node.attribute:
        node.attribute.append(_tensor_attribute(np.zeros(1)))
    for attribute in node.attribute:
        match attribute.type:
            case AttributeProto.TENSOR:
                _widen_tensors([attribute.t])
            case AttributeProto.GRAPH:
                _widen(attribute.g)
            case AttributeProto.INT if attribute.name in _ELEMENT_TYPES:
                attribute.i = (
                    TensorProto.DOUBLE if attribute.i == TensorProto.FLOAT else attribute.i
                )
            case AttributeProto.FLOAT | AttributeProto.FLOATS if node.op_type == "Constant":
                values = helper.get_attribute_value(attribute)
                attribute.CopyFrom(_tensor_attribute(np.array(values, np.float64)))
            case _:
                pass


def _tensor_attribute(values: np.ndarray) -> AttributeProto:
    return helper.make_attribute("value", numpy_helper.from_array(values))
