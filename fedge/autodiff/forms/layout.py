"""Operators that move elements around."""

from math import prod

from fedge.autodiff.forms.table import Call, canonical
from fedge.autodiff.graph import Graph, Name


@canonical("Reshape")
def reshape(g: Graph, call: Call) -> tuple[Name, ...]:
    """The target shape may have been written for a batch size that the model fixes."""
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
    """Starts, ends and axes were attributes before opset 10; axes and steps may be left out."""
    if call.opset >= 10:
        x, starts, ends = call.inputs[:3]
        axes = call.input(3) or g.ints(range(g.size(starts)))
        steps = call.input(4)
        return (g.op("Slice", x, starts, ends, axes, *([steps] if steps else [])),)
    first, last = call.attributes["starts"], call.attributes["ends"]
    chosen = call.attributes.get("axes", range(len(first)))
    return (g.op("Slice", call.inputs[0], g.ints(first), g.ints(last), g.ints(chosen)),)


@canonical("Split")
def split(g: Graph, call: Call) -> tuple[Name, ...]:
    """The sizes were an attribute before opset 13; omitted, all are equal except the last."""
    x, given = call.inputs[0], call.input(1)
    axis, n = call.attributes.get("axis", 0), call.n_outputs
    sizes = call.attributes.get("split", ()) or (g.integers(given) if given else ())
    if not sizes:
        total = g.shape(x)[axis]
        each = -(-total // n)
        sizes = [each] * (n - 1) + [total - each * (n - 1)]
    return g.ops(n, "Split", x, g.ints(sizes), axis=axis)
