"""Slopes at the edge of a function's domain: never infinite, and never 0 times infinite.

Where a slope is infinite, 0 is used. The incoming gradient there is often 0, because a later node
selected another value (Where, Clip, Max), and 0 times infinity would turn every gradient before it
into NaN.
"""

import numpy as np

from fedge.autodiff.graph import Graph, Name


def divided(g: Graph, dy: Name, b: Name) -> Name:
    """dy / b, but 0 where b is 0."""
    if _never_zero(g, b):
        return g.op("Div", dy, b)
    infinite = g.scalar(np.inf, like=b)
    return g.op("Div", dy, g.op("Where", _is_zero(g, b), infinite, b))


def at_least(g: Graph, n_chosen: Name, one: Name) -> Name:
    """The number of chosen elements to divide by, at least one even if none was chosen.

    Asked for the maximum of nothing but -inf, some of onnxruntime's kernels give -3.4e38.
    """
    return g.op("Max", n_chosen, one)


def zero_where_zero(g: Graph, b: Name, slope: Name) -> Name:
    """The slope, but 0 where b is 0. Shapes: all the same."""
    if _never_zero(g, b):
        return slope
    return g.op("Where", _is_zero(g, b), g.scalar(0, like=slope), slope)


def _is_zero(g: Graph, b: Name) -> Name:
    return g.op("Equal", b, g.scalar(0, like=b))


def _never_zero(g: Graph, b: Name) -> bool:
    return b in g.constants and bool(np.all(g.constants[b]))
