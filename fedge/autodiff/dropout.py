"""Dropout as a product with factors fed in from outside, so no graph draws random numbers."""

from collections.abc import Iterator
from itertools import accumulate

import numpy as np

from fedge.artifact import DropoutSpec
from fedge.autodiff.export import live_nodes
from fedge.autodiff.graph import Graph, Name, Node, element_type
from fedge.autodiff.infer import Tensor

FACTORS = "fedge.dropout"


def apply_dropout(g: Graph, result: Name) -> tuple[Name, tuple[DropoutSpec, ...]]:
    """A result as training computes it: each Dropout on the way to it multiplies by its factors.

    The graph gets the input `fedge.dropout`, float32 (n,), which holds the factors of one node
    after another, row-major. Existing nodes do not change; if nothing is dropped, nothing is
    added.

    Returns:
        The new result, and each node's ratio and number of factors, in order.
    """
    nodes = live_nodes(g, [result])
    dropping = [node for node in nodes if _is_dropping(node)]
    if not dropping:
        return result, ()
    specs = tuple(
        DropoutSpec(ratio=float(g.constants[node.inputs[1]]), size=g.size(node.outputs[0]))
        for node in dropping
    )
    *starts, n = accumulate((spec.size for spec in specs), initial=0)
    g.add_input(FACTORS, Tensor(np.dtype(np.float32), (n,)))
    return _replay(g, nodes, iter(starts))[result], specs


def _is_dropping(node: Node) -> bool:
    """The canonical form has a ratio only if it is above 0."""
    return node.op_type == "Dropout" and len(node.inputs) > 1


def _replay(g: Graph, nodes: list[Node], starts: Iterator[int]) -> dict[Name, Name]:
    """Old names to new; a node that no dropout reaches is reused, not added again."""
    names: dict[Name, Name] = {}
    for node in nodes:
        inputs = [names.get(name, name) for name in node.inputs]
        if _is_dropping(node):
            x = inputs[0]
            made: tuple[Name, ...] = (g.op("Mul", x, _factors(g, next(starts), like=x)),)
        else:
            made = g.ops(len(node.outputs), node.op_type, *inputs, **node.attributes)
        for name, new in zip(node.outputs, made, strict=True):
            names[name] = new
            if name in g.origins:
                g.origins.setdefault(new, g.origins[name])
    return names


def _factors(g: Graph, start: int, *, like: Name) -> Name:
    """The factors from `start` on, in the shape and type of a value."""
    part = g.op("Slice", FACTORS, g.ints([start]), g.ints([start + g.size(like)]))
    shaped = g.reshape(part, g.shape(like))
    dtype = g.tensors[like].dtype
    return shaped if dtype == np.float32 else g.op("Cast", shaped, to=element_type(dtype))
