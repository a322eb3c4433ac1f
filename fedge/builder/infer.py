"""The user's model for inference, with its parameters as inputs."""

from collections.abc import Mapping

import onnx
from onnx import helper

from fedge.autodiff import Parameter
from fedge.builder.protos import replace_items

_OLDEST_IR = 4  # the first that does not require initialisers to be inputs too


def inference_model(model: onnx.ModelProto, parameters: Mapping[str, Parameter]) -> onnx.ModelProto:
    """The model unchanged, except that each parameter is an input instead of a stored tensor.

    Inputs are the model's own, with their own batch axis, then the parameters. Dropout is off,
    even if the model was exported in training mode.
    """
    result = onnx.ModelProto()
    result.CopyFrom(model)
    result.ir_version = max(model.ir_version, _OLDEST_IR)
    graph = result.graph
    nodes = [node for node in graph.node if parameters.keys().isdisjoint(node.output)]
    for node in nodes:
        if node.op_type == "Dropout":
            del node.input[2:]  # training_mode; false if omitted
    used = {name for node in nodes for name in node.input} | {info.name for info in graph.output}
    stored = {tensor.name for tensor in graph.initializer}
    inputs = [info for info in graph.input if info.name not in stored]
    tensors = [t for t in graph.initializer if t.name in used and t.name not in parameters]
    replace_items(graph.node, nodes)
    replace_items(graph.input, [*inputs, *(_input(name, p) for name, p in parameters.items())])
    replace_items(graph.initializer, tensors)
    return result


def _input(name: str, parameter: Parameter) -> onnx.ValueInfoProto:
    element = helper.np_dtype_to_tensor_dtype(parameter.value.dtype)
    return helper.make_tensor_value_info(name, element, parameter.value.shape)
