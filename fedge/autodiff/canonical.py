"""One form for every operator: what opset 18 says, with nothing left to defaults or old attributes.

Sources: ONNX Changelog.md, the versions of each operator from opset 7 on.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from fedge.autodiff.graph import Graph, Name, element_type
from fedge.autodiff.infer import Attributes


@dataclass(frozen=True, slots=True)
class Call:
    """A node of the user's model, its inputs already in the graph."""

    op_type: str
    inputs: tuple[Name, ...]
    attributes: Attributes
    n_outputs: int
    opset: int
    reads_data: bool = False  # whether an input depends on the model's inputs
    batch: tuple[int, int] | None = None  # the size fixed in the model, the size wanted

    def without(self, *names: str) -> dict[str, Any]:
        return {key: value for key, value in self.attributes.items() if key not in names}

    def input(self, index: int) -> Name:
        return self.inputs[index] if index < len(self.inputs) else ""


Canonical = Callable[[Graph, Call], tuple[Name, ...]]
FORMS: dict[str, Canonical] = {}


def canonical(*op_types: str) -> Callable[[Canonical], Canonical]:
    """Enters a function as the one that emits an operator's canonical form."""

    def enter(form: Canonical) -> Canonical:
        for op_type in op_types:
            if op_type in FORMS:
                raise ValueError(f"operator {op_type} already has a canonical form")
            FORMS[op_type] = form
        return form

    return enter


def emit(g: Graph, call: Call) -> tuple[Name, ...]:
    """Adds a node in canonical form; ValueError says why that is not possible."""
    return FORMS.get(call.op_type, _as_it_is)(g, call)


def _as_it_is(g: Graph, call: Call) -> tuple[Name, ...]:
    return g.ops(call.n_outputs, call.op_type, *call.inputs, **call.attributes)


@canonical("Constant")
def constant(g: Graph, call: Call) -> tuple[Name, ...]:
    """A tensor, or numbers in an attribute of their own (opset 12)."""
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
    """Nothing, if the type is already that."""
    if element_type(g.tensors[call.inputs[0]].dtype) == call.attributes["to"]:
        return (call.inputs[0],)
    return (g.op("Cast", call.inputs[0], to=call.attributes["to"]),)


@canonical("Dropout")
def dropout(g: Graph, call: Call) -> tuple[Name, ...]:
    """The identity, with its ratio where that is above 0; the mask is not among the outputs.

    The ratio was an attribute before opset 12. A `training_mode` says what the exporter did, not
    what is wanted here.
    """
    x, given = call.inputs[0], call.input(1)
    with np.errstate(over="ignore"):  # a ratio of float64 that becomes infinite is refused below
        ratio = np.float32(_number(g, given) if given else call.attributes.get("ratio", 0.5))
    if call.input(2):
        _number(g, call.input(2))
    if not 0 <= ratio < 1:
        raise ValueError(f"its ratio is {ratio:g}, not from 0 to below 1")
    if ratio == 0:
        return (g.op("Dropout", x),)
    # A seed of its own keeps two on the same value apart; without training_mode nothing reads it.
    return (g.op("Dropout", x, g.constant(np.asarray(ratio)), seed=len(g.nodes), fold=False),)


def _number(g: Graph, name: Name) -> float:
    if name not in g.constants or g.size(name) != 1:
        raise ValueError("its ratio and training_mode must be constants of one element")
    return float(g.constants[name].item())


@canonical("Reshape")
def reshape(g: Graph, call: Call) -> tuple[Name, ...]:
    """With a target written for the batch size fixed in the model, if there is one."""
    x, target = call.inputs
    sizes = list(g.integers(target))
    fits = prod(sizes) == g.size(x) and 0 not in sizes
    if call.batch and call.reads_data and not fits and sizes[:1] == [call.batch[0]]:
        sizes[0] = call.batch[1]
    return (g.op("Reshape", x, g.ints(sizes), **call.attributes),)


@canonical("Squeeze", "Unsqueeze")
def squeeze(g: Graph, call: Call) -> tuple[Name, ...]:
    """The axes were an attribute before opset 13; Squeeze may leave them out."""
    x = call.inputs[0]
    if "axes" in call.attributes:
        axes = g.ints(call.attributes["axes"])
    elif call.input(1):
        axes = call.input(1)
    else:
        axes = g.ints(i for i, n in enumerate(g.shape(x)) if n == 1)
    return (g.op(call.op_type, x, axes),)


@canonical(
    "ReduceSum",
    "ReduceMean",
    "ReduceMax",
    "ReduceMin",
    "ReduceL1",
    "ReduceL2",
    "ReduceSumSquare",
    "ReduceLogSum",
    "ReduceLogSumExp",
    "ReduceProd",
)
def reduction(g: Graph, call: Call) -> tuple[Name, ...]:
    """The axes were an attribute before opset 18 (ReduceSum: 13); none given means all."""
    x, given = call.inputs[0], call.input(1)
    axes = call.attributes.get("axes", ()) or (g.integers(given) if given else ())
    if not axes and call.attributes.get("noop_with_empty_axes", 0):
        return (x,)
    axes = axes or range(g.rank(x))
    keepdims = call.attributes.get("keepdims", 1)
    return (g.op(call.op_type, x, g.ints(axes), keepdims=keepdims),)


@canonical("Softmax", "LogSoftmax")
def softmax(g: Graph, call: Call) -> tuple[Name, ...]:
    """Before opset 13 the axis (by default 1) parted rows from columns, as in Flatten."""
    x = call.inputs[0]
    if call.opset >= 13:
        return (g.op(call.op_type, x, axis=call.attributes.get("axis", -1)),)
    axis = call.attributes.get("axis", 1) % g.rank(x)
    lead = g.shape(x)[:axis]
    rows = g.reshape(x, (*lead, prod(g.shape(x)[axis:])))
    return (g.reshape(g.op(call.op_type, rows, axis=axis), g.shape(x)),)


@canonical("Clip")
def clip(g: Graph, call: Call) -> tuple[Name, ...]:
    """The bounds were attributes before opset 11."""
    x, *given = call.inputs
    if call.opset >= 11:
        return (g.op("Clip", x, *given),)
    bounds = [call.attributes.get(name) for name in ("min", "max")]
    names = [g.scalar(bound, like=x) if bound is not None else "" for bound in bounds]
    return (g.op("Clip", x, *names),)


@canonical("Pad")
def pad(g: Graph, call: Call) -> tuple[Name, ...]:
    """The pads and the value were attributes before opset 11."""
    mode = call.attributes.get("mode", "constant")
    if call.opset >= 11:
        return (g.op("Pad", *call.inputs, mode=mode),)
    x = call.inputs[0]
    value = g.scalar(call.attributes.get("value", 0.0), like=x)
    return (g.op("Pad", x, g.ints(call.attributes["pads"]), value, mode=mode),)


@canonical("Slice")
def slice_(g: Graph, call: Call) -> tuple[Name, ...]:
    """Starts, ends and axes were attributes before opset 10."""
    if call.opset >= 10:
        return (g.op("Slice", *call.inputs),)
    starts, ends = call.attributes["starts"], call.attributes["ends"]
    axes = call.attributes.get("axes", range(len(starts)))
    return (g.op("Slice", call.inputs[0], g.ints(starts), g.ints(ends), g.ints(axes)),)


@canonical("Split")
def split(g: Graph, call: Call) -> tuple[Name, ...]:
    """The sizes were an attribute before opset 13; left out they are equal but for the last."""
    x, given = call.inputs[0], call.input(1)
    axis, n = call.attributes.get("axis", 0), call.n_outputs
    sizes = call.attributes.get("split", ()) or (g.integers(given) if given else ())
    if not sizes:
        total = g.shape(x)[axis]
        each = -(-total // n)
        sizes = [each] * (n - 1) + [total - each * (n - 1)]
    return g.ops(n, "Split", x, g.ints(sizes), axis=axis)


@canonical("MatMul")
def matmul(g: Graph, call: Call) -> tuple[Name, ...]:
    """A vector becomes a matrix of one row (left) or one column (right), and back."""
    a, b = call.inputs
    row, column = g.rank(a) == 1, g.rank(b) == 1
    left = g.reshape(a, (1, *g.shape(a))) if row else a
    right = g.reshape(b, (*g.shape(b), 1)) if column else b
    y = g.op("MatMul", left, right)
    kept = list(g.shape(y))
    if column:
        del kept[-1]
    if row:
        del kept[-1 if column else -2]
    return (g.reshape(y, kept),)


@canonical("BatchNormalization")
def batch_normalization(g: Graph, call: Call) -> tuple[Name, ...]:
    """With frozen statistics; the attributes for training, and `spatial`, go."""
    if call.attributes.get("training_mode", 0) or call.n_outputs > 1:
        raise ValueError("is in training mode; export the model for inference")
    if not call.attributes.get("spatial", 1):
        raise ValueError("normalises each position by itself (spatial = 0), which opset 18 cannot")
    return (g.op("BatchNormalization", *call.inputs, **call.without("spatial", "momentum")),)


@canonical("LayerNormalization")
def layer_normalization(g: Graph, call: Call) -> tuple[Name, ...]:
    """Without the mean and deviation it can give too: whoever reads them is refused."""
    return (g.op("LayerNormalization", *call.inputs, **call.attributes),)


@canonical("Conv", "ConvTranspose")
def convolution(g: Graph, call: Call) -> tuple[Name, ...]:
    """With explicit pads and kernel shape."""
    kernel = g.shape(call.inputs[1])[2:]
    call = _explicit_pads(g, call, kernel)
    return (g.op(call.op_type, *call.inputs, **{**call.attributes, "kernel_shape": kernel}),)


@canonical("MaxPool")
def max_pool(g: Graph, call: Call) -> tuple[Name, ...]:
    """Always with its indices: its rule may read them, and if not they are cut away again."""
    call = _explicit_pads(g, call, call.attributes["kernel_shape"])
    return g.ops(2, "MaxPool", *call.inputs, **call.attributes)[: call.n_outputs]


@canonical("AveragePool")
def average_pool(g: Graph, call: Call) -> tuple[Name, ...]:
    """With explicit pads, never rounding up, and without the dilations of opset 19."""
    if set(call.attributes.get("dilations", (1,))) != {1}:
        raise ValueError("has dilations, which opset 18 does not know")
    call = replace(call, attributes=call.without("dilations"))
    call = _explicit_pads(g, call, call.attributes["kernel_shape"])
    y = g.op("AveragePool", *call.inputs, **{**call.attributes, "ceil_mode": 0})
    if call.attributes.get("ceil_mode", 0):
        rounded_up = g.op("AveragePool", *call.inputs, **call.attributes)
        if g.shape(rounded_up) != g.shape(y):
            raise ValueError("has windows beyond the padded image (ceil_mode = 1)")
    return (y,)


def _explicit_pads(g: Graph, call: Call, kernel: tuple[int, ...]) -> Call:
    """Replaces auto_pad by pads. SAME gives ceil(size / stride) positions."""
    how = call.attributes.get("auto_pad", "NOTSET")
    rest = call.without("auto_pad")
    if how == "NOTSET":
        return replace(call, attributes=rest)
    if how == "VALID":
        return replace(call, attributes={**rest, "pads": (0,) * (2 * len(kernel))})
    if call.op_type == "ConvTranspose":
        raise ValueError(f"has auto_pad {how}; give pads instead")
    ones = (1,) * len(kernel)
    strides, dilations = rest.get("strides", ones), rest.get("dilations", ones)
    totals = [
        max((-(-n // s) - 1) * s + (k - 1) * d + 1 - n, 0)
        for n, k, s, d in zip(g.shape(call.inputs[0])[2:], kernel, strides, dilations, strict=True)
    ]
    small = [total // 2 for total in totals]
    large = [total - half for total, half in zip(totals, small, strict=True)]
    pads = small + large if how == "SAME_UPPER" else large + small
    return replace(call, attributes={**rest, "pads": tuple(pads)})
