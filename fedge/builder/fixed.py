"""Inputs that are not data, such as a scale or a training mode: fixed to a value at build time."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from fedge.builder.protos import replace_items
from fedge.errors import ConfigError
from fedge.types import Array

_VEILS = ("Identity", "Cast")  # a constant behind these goes by the result's name

WHY = "fixed by --input-value"


def fix_inputs(model: onnx.ModelProto, values: Mapping[str, npt.ArrayLike]) -> dict[str, str]:
    """Turns inputs into constants.

    Args:
        model: the model, which is changed.
        values: by input; one number, or as many as the input's shape holds, which must be fixed.

    Returns:
        Why these tensors are not parameters, by name.

    Raises:
        ConfigError: if there is no such input, or the value does not fit it.
    """
    graph = model.graph
    inputs = {info.name: info for info in graph.input}
    for name in values:
        if name not in inputs:
            raise ConfigError(
                f"the model has no input {name!r} to fix; it has {', '.join(map(repr, inputs))}"
            )
    fixed = [numpy_helper.from_array(_value(inputs[n], v), n) for n, v in values.items()]
    replace_items(graph.input, [info for info in graph.input if info.name not in values])
    defaults = [tensor for tensor in graph.initializer if tensor.name not in values]
    replace_items(graph.initializer, [*defaults, *fixed])
    names = set(values)
    for node in graph.node:
        if node.op_type in _VEILS and node.input[0] in names:
            names.add(node.output[0])
    return dict.fromkeys(names, WHY)


def _value(info: onnx.ValueInfoProto, given: npt.ArrayLike) -> Array:
    kind = info.type.tensor_type
    try:
        dtype = helper.tensor_dtype_to_np_dtype(kind.elem_type)
        values = np.asarray(given)
        with np.errstate(over="ignore"):  # an infinity is refused below
            cast = values.astype(dtype)
    except (KeyError, TypeError, ValueError):
        raise ConfigError(f"input {info.name!r} cannot be fixed to {given!r}") from None
    is_exact = dtype.kind == "f" or np.array_equal(cast.astype(np.float64), values)
    if not is_exact or not np.isfinite(cast.astype(np.float64)).all():
        raise ConfigError(f"input {info.name!r} is {dtype}, which {given!r} is not")
    return _shaped(info, cast)


def _shaped(info: onnx.ValueInfoProto, values: Array) -> Array:
    """One number fills the input's shape; several must match it in number."""
    dims = [dim.dim_value for dim in info.type.tensor_type.shape.dim]
    if 0 in dims:
        raise ConfigError(
            f"input {info.name!r} has open axes, so it takes a value per example; only "
            "inputs of fixed shape can be fixed"
        )
    if values.size not in (1, int(np.prod(dims))):
        raise ConfigError(f"input {info.name!r} has shape {dims}, {values.size} values do not fit")
    return (
        np.full(dims, values.item()).astype(values.dtype)
        if values.size == 1
        else values.reshape(dims)
    )
