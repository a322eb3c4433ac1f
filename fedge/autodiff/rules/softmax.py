"""Softmax and its logarithm, along one axis."""

from fedge.autodiff.graph import Graph, Name, Node
from fedge.autodiff.table import Grads, vjp


@vjp("Softmax")
def softmax(g: Graph, node: Node, dy: Name) -> Grads:
    """y = e^x / sum e^x; dx = y (dy - sum(dy y))."""
    y = node.outputs[0]
    inner = g.sum(g.op("Mul", dy, y), [_axis(g, node)], keepdims=True)
    return (g.op("Mul", y, g.op("Sub", dy, inner)),)


@vjp("LogSoftmax")
def log_softmax(g: Graph, node: Node, dy: Name) -> Grads:
    """y = x - ln sum e^x; dx = dy - e^y sum(dy)."""
    total = g.sum(dy, [_axis(g, node)], keepdims=True)
    return (g.op("Sub", dy, g.op("Mul", g.op("Exp", node.outputs[0]), total)),)


def _axis(g: Graph, node: Node) -> int:
    return int(node.attributes["axis"]) % g.rank(node.inputs[0])
