"""Reductions. In a traced graph their axes are a constant input, never omitted."""

from math import prod

from fedge.autodiff.graph import Graph, Name, Node
from fedge.autodiff.rules.edge import divided
from fedge.autodiff.table import Grads, vjp


@vjp("ReduceSum")
def reduce_sum(g: Graph, node: Node, dy: Name) -> Grads:
    """y = sum of x over axes. Shapes: x any; y without the axes, or with size 1 there."""
    return (g.expand(_kept(g, node, dy), g.shape(node.inputs[0])),)


@vjp("ReduceMean")
def reduce_mean(g: Graph, node: Node, dy: Name) -> Grads:
    """y = mean of x over axes. Shapes: x any; y without the axes, or with size 1 there."""
    shape = g.shape(node.inputs[0])
    share = g.scalar(1 / prod(shape[axis] for axis in _axes(g, node)), like=dy)
    return (g.expand(g.op("Mul", _kept(g, node, dy), share), shape),)


@vjp("ReduceMax")
def reduce_max(g: Graph, node: Node, dy: Name) -> Grads:
    """y = max of x over axes; elements that tie share the gradient equally."""
    return (_to_the_chosen(g, node, dy),)


@vjp("ReduceMin")
def reduce_min(g: Graph, node: Node, dy: Name) -> Grads:
    """y = min of x over axes; elements that tie share the gradient equally."""
    return (_to_the_chosen(g, node, dy),)


@vjp("ReduceL1")
def reduce_l1(g: Graph, node: Node, dy: Name) -> Grads:
    """y = sum |x| over axes; dx = dy sign(x), 0 at 0."""
    return (g.op("Mul", _kept(g, node, dy), g.op("Sign", node.inputs[0])),)


@vjp("ReduceL2")
def reduce_l2(g: Graph, node: Node, dy: Name) -> Grads:
    """y = (sum x^2)^(1/2) over axes; dx = dy x / y, and 0 where all x are 0."""
    return (g.op("Mul", node.inputs[0], _kept(g, node, divided(g, dy, node.outputs[0]))),)


@vjp("ReduceSumSquare")
def reduce_sum_square(g: Graph, node: Node, dy: Name) -> Grads:
    """y = sum x^2 over axes; dx = 2 dy x."""
    double = g.op("Mul", dy, g.scalar(2, like=dy))
    return (g.op("Mul", node.inputs[0], _kept(g, node, double)),)


@vjp("ReduceLogSumExp")
def reduce_log_sum_exp(g: Graph, node: Node, dy: Name) -> Grads:
    """y = ln sum e^x over axes; dx = dy e^(x - y)."""
    share = g.op("Exp", g.op("Sub", node.inputs[0], _kept(g, node, node.outputs[0])))
    return (g.op("Mul", share, _kept(g, node, dy)),)


def _axes(g: Graph, node: Node) -> list[int]:
    rank = g.rank(node.inputs[0])
    return [axis % rank for axis in g.integers(node.inputs[1])]


def _kept(g: Graph, node: Node, y: Name) -> Name:
    """A value of the output's shape with the reduced axes kept as size 1, so that it broadcasts."""
    axes = _axes(g, node)
    shape = [1 if i in axes else n for i, n in enumerate(g.shape(node.inputs[0]))]
    return g.reshape(y, shape)


def _to_the_chosen(g: Graph, node: Node, dy: Name) -> Name:
    chosen = g.mask(g.op("Equal", node.inputs[0], _kept(g, node, node.outputs[0])), like=dy)
    n_chosen = g.sum(chosen, _axes(g, node), keepdims=True)
    return g.op("Mul", chosen, g.op("Div", _kept(g, node, dy), n_chosen))
