"""Constants, type conversions, and operators configured by numbers."""

from dataclasses import replace

import numpy as np
import onnx
from onnx import numpy_helper

from fedge.autodiff.forms.table import Call, canonical
from fedge.autodiff.graph import Graph, Name, element_type


@canonical("Constant")
def constant(g: Graph, call: Call) -> tuple[Name, ...]:
    """A tensor, or numbers in an attribute of their own (since opset 12)."""
    ((kind, value),) = call.attributes.items()
    if isinstance(value, onnx.TensorProto):
        return (g.constant(numpy_helper.to_array(value)),)
    dtypes = {"value_float": "f4", "value_floats": "f4", "value_int": "i8", "value_ints": "i8"}
    if kind not in dtypes:
        raise ValueError(f"{kind} is not a tensor of numbers")
    return (g.constant(np.asarray(value, dtypes[kind])),)


@canonical("Shape")
def shape(g: Graph, call: Call) -> tuple[Name, ...]:
    """A constant, since every shape is."""
    part = slice(call.attributes.get("start", 0), call.attributes.get("end"))
    return (g.ints(g.shape(call.inputs[0])[part]),)


@canonical("Size")
def size(g: Graph, call: Call) -> tuple[Name, ...]:
    """A constant, since every shape is."""
    return (g.constant(np.asarray(g.size(call.inputs[0]), np.int64)),)


@canonical("Cast")
def cast(g: Graph, call: Call) -> tuple[Name, ...]:
    """Nothing if the type is already right."""
    if element_type(g.tensors[call.inputs[0]].dtype) == call.attributes["to"]:
        return (call.inputs[0],)
    return (g.op("Cast", call.inputs[0], to=call.attributes["to"]),)


@canonical("CastLike")
def cast_like(g: Graph, call: Call) -> tuple[Name, ...]:
    """A Cast to the type of the second input."""
    to = element_type(g.tensors[call.inputs[1]].dtype)
    return cast(g, replace(call, op_type="Cast", attributes={"to": to}))


@canonical("Dropout")
def dropout(g: Graph, call: Call) -> tuple[Name, ...]:
    """The identity, carrying its ratio if that is above 0, and without the mask output.

    The ratio was an attribute before opset 12. `training_mode` says what mode the exporter was in,
    not what is wanted here.
    """
    x, given = call.inputs[0], call.input(1)
    with np.errstate(over="ignore"):  # a float64 ratio that overflows is refused below
        ratio = np.float32(_number(g, given) if given else call.attributes.get("ratio", 0.5))
    if call.input(2):
        _number(g, call.input(2))
    if not 0 <= ratio < 1:
        raise ValueError(f"has the ratio {ratio:g}; it must be at least 0 and below 1")
    if ratio == 0:
        return (g.op("Dropout", x),)
    # Its own seed keeps two on the same value distinct; without training_mode nothing reads it.
    return (g.op("Dropout", x, g.constant(np.asarray(ratio)), seed=len(g.nodes), fold=False),)


def _number(g: Graph, name: Name) -> float:
    if name not in g.constants or g.size(name) != 1:
        raise ValueError("needs a ratio and a training_mode that are constants of one element")
    return float(g.constants[name].item())


@canonical("Clip")
def clip(g: Graph, call: Call) -> tuple[Name, ...]:
    """The bounds were attributes before opset 11."""
    x, *given = call.inputs
    if call.opset >= 11:
        return (g.op("Clip", x, *given),)
    bounds = [call.attributes.get(name) for name in ("min", "max")]
    names = [g.scalar(bound, like=x) if bound is not None else "" for bound in bounds]
    return (g.op("Clip", x, *names),)
