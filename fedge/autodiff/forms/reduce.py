"""Sums, maxima and softmax along axes."""

from math import prod

from fedge.autodiff.forms.table import Call, canonical
from fedge.autodiff.graph import Graph, Name


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
    """The axes were an attribute before opset 18 (ReduceSum: 13); if omitted, all."""
    x, given = call.inputs[0], call.input(1)
    axes = call.attributes.get("axes", ()) or (g.integers(given) if given else ())
    if not axes and call.attributes.get("noop_with_empty_axes", 0):
        return (x,)
    axes = axes or range(g.rank(x))
    keepdims = call.attributes.get("keepdims", 1)
    return (g.op(call.op_type, x, g.ints(axes), keepdims=keepdims),)


@canonical("Softmax", "LogSoftmax", "Hardmax")
def softmax(g: Graph, call: Call) -> tuple[Name, ...]:
    """Before opset 13 the axis (default 1) separated rows from columns, as in Flatten."""
    x = call.inputs[0]
    if call.opset >= 13:
        return (g.op(call.op_type, x, axis=call.attributes.get("axis", -1)),)
    axis = call.attributes.get("axis", 1) % g.rank(x)
    lead = g.shape(x)[:axis]
    rows = g.reshape(x, (*lead, prod(g.shape(x)[axis:])))
    return (g.reshape(g.op(call.op_type, rows, axis=axis), g.shape(x)),)


@canonical("TopK")
def top_k(g: Graph, call: Call) -> tuple[Name, ...]:
    """k was an attribute before opset 10."""
    k = call.input(1) or g.ints([call.attributes["k"]])
    return g.ops(2, "TopK", call.inputs[0], k, **call.without("k"))
