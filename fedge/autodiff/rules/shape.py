"""Operators that move elements without changing them."""

import numpy as np

from fedge.autodiff.graph import Graph, Name, Node
from fedge.autodiff.table import Grads, vjp


@vjp("Reshape")
def reshape(g: Graph, node: Node, dy: Name) -> Grads:
    """y = x in another shape with the same number of elements."""
    return _restored(g, node, dy)


@vjp("Flatten")
def flatten(g: Graph, node: Node, dy: Name) -> Grads:
    """y = x as a matrix: the axes before `axis` are rows, the others columns."""
    return _restored(g, node, dy)


@vjp("Squeeze")
def squeeze(g: Graph, node: Node, dy: Name) -> Grads:
    """y = x without some axes of size 1."""
    return _restored(g, node, dy)


@vjp("Unsqueeze")
def unsqueeze(g: Graph, node: Node, dy: Name) -> Grads:
    """y = x with more axes of size 1."""
    return _restored(g, node, dy)


@vjp("Dropout")
def dropout(_g: Graph, _node: Node, dy: Name) -> Grads:
    """y = x; in training y = x f, where f is 0 with probability ratio, else 1 / (1 - ratio).

    `apply_dropout` has replaced each node that drops with a product, so any that get here are
    identities.
    """
    return (dy,)


@vjp("Transpose")
def transpose(g: Graph, node: Node, dy: Name) -> Grads:
    """y = x with axes in the order perm; by default in reverse."""
    perm = node.attributes.get("perm", range(g.rank(dy))[::-1])
    return (g.transpose(dy, [int(axis) for axis in np.argsort(perm)]),)


@vjp("Expand")
def expand(g: Graph, node: Node, dy: Name) -> Grads:
    """y = x repeated along axes of size 1."""
    return (g.unbroadcast(dy, like=node.inputs[0]),)


@vjp("Tile")
def tile(g: Graph, node: Node, dy: Name) -> Grads:
    """y = x repeated as a whole. Shapes: x (d, ...), y (n d, ...)."""
    shape = g.shape(node.inputs[0])
    repeats = g.integers(node.inputs[1])
    folded = [size for pair in zip(repeats, shape, strict=True) for size in pair]
    return (g.sum(g.reshape(dy, folded), range(0, len(folded), 2)),)


@vjp("Concat")
def concat(g: Graph, node: Node, dy: Name) -> Grads:
    """y = x1, x2, ... one after another along an axis."""
    axis = int(node.attributes["axis"]) % g.rank(dy)
    sizes = g.ints(g.shape(x)[axis] for x in node.inputs)
    return g.ops(len(node.inputs), "Split", dy, sizes, axis=axis)


@vjp("Split")
def split(g: Graph, node: Node, *dys: Name) -> Grads:
    """y1, y2, ... = the parts of x along an axis."""
    return (g.op("Concat", *dys, axis=node.attributes["axis"]),)


def _restored(g: Graph, node: Node, dy: Name) -> Grads:
    return (g.reshape(dy, g.shape(node.inputs[0])),)
