"""Operators that read and write by index."""

from fedge.autodiff.forms.table import Call, canonical
from fedge.autodiff.graph import Graph, Name


@canonical("Scatter")
def scatter(g: Graph, call: Call) -> tuple[Name, ...]:
    """ScatterElements, its name since opset 11."""
    return (g.op("ScatterElements", *call.inputs, **call.attributes),)
