"""Arithmetic, element by element, with broadcasting."""

import math

import numpy as np

from fedge.autodiff.graph import Graph, Name, Node, element_type
from fedge.autodiff.rules.edge import divided, zero_where_zero
from fedge.autodiff.table import Grads, vjp


@vjp("Identity")
def identity(_g: Graph, _node: Node, dy: Name) -> Grads:
    """y = x."""
    return (dy,)


@vjp("Cast")
def cast(g: Graph, node: Node, dy: Name) -> Grads:
    """y = x in another element type."""
    return (g.op("Cast", dy, to=element_type(g.tensors[node.inputs[0]].dtype)),)


@vjp("Add")
def add(g: Graph, node: Node, dy: Name) -> Grads:
    """y = a + b, broadcast. Shapes: a, b any; y their broadcast."""
    return _passed_on(g, node, dy)


@vjp("Sum")
def total(g: Graph, node: Node, dy: Name) -> Grads:
    """y = x1 + x2 + ..., broadcast. Shapes: any; y their broadcast."""
    return _passed_on(g, node, dy)


@vjp("Mean")
def mean(g: Graph, node: Node, dy: Name) -> Grads:
    """y = (x1 + ... + xn) / n, broadcast. Shapes: any; y their broadcast."""
    share = g.op("Mul", dy, g.scalar(1 / len(node.inputs), like=dy))
    return _passed_on(g, node, share)


@vjp("Sub")
def sub(g: Graph, node: Node, dy: Name) -> Grads:
    """y = a - b, broadcast. Shapes: a, b any; y their broadcast."""
    a, b = node.inputs
    return (
        g.unbroadcast(dy, like=a) if node.needs(0) else None,
        g.op("Neg", g.unbroadcast(dy, like=b)) if node.needs(1) else None,
    )


@vjp("Mul")
def mul(g: Graph, node: Node, dy: Name) -> Grads:
    """y = a * b, broadcast. Shapes: a, b any; y their broadcast."""
    a, b = node.inputs
    return (
        g.unbroadcast(g.op("Mul", dy, b), like=a) if node.needs(0) else None,
        g.unbroadcast(g.op("Mul", dy, a), like=b) if node.needs(1) else None,
    )


@vjp("Div")
def div(g: Graph, node: Node, dy: Name) -> Grads:
    """y = a / b, broadcast; slopes 0 where b is 0 (y is infinite there). Shapes: a, b any."""
    a, b = node.inputs
    da = divided(g, dy, b)
    db = None
    if node.needs(1):
        steep = g.op("Neg", g.unbroadcast(g.op("Mul", da, node.outputs[0]), like=b))
        db = zero_where_zero(g, b, steep)
    return g.unbroadcast(da, like=a) if node.needs(0) else None, db


@vjp("Neg")
def neg(g: Graph, _node: Node, dy: Name) -> Grads:
    """y = -x."""
    return (g.op("Neg", dy),)


@vjp("Abs")
def absolute(g: Graph, node: Node, dy: Name) -> Grads:
    """y = |x|; slope 0 at 0."""
    return (g.op("Mul", dy, g.op("Sign", node.inputs[0])),)


@vjp("Exp")
def exp(g: Graph, node: Node, dy: Name) -> Grads:
    """y = e^x; dx = dy y."""
    return (g.op("Mul", dy, node.outputs[0]),)


@vjp("Log")
def log(g: Graph, node: Node, dy: Name) -> Grads:
    """y = ln x; dx = dy / x, and 0 at 0, where y is infinite."""
    return (divided(g, dy, node.inputs[0]),)


@vjp("Sqrt")
def sqrt(g: Graph, node: Node, dy: Name) -> Grads:
    """y = x^(1/2); dx = dy / (2 y), and 0 at 0, as for a deviation or norm (torch: infinite)."""
    return (divided(g, g.op("Mul", dy, g.scalar(0.5, like=dy)), node.outputs[0]),)


@vjp("Reciprocal")
def reciprocal(g: Graph, node: Node, dy: Name) -> Grads:
    """y = 1 / x; dx = -dy / x^2, and 0 at 0, where y is infinite."""
    x = node.inputs[0]
    return (g.op("Neg", divided(g, divided(g, dy, x), x)),)


@vjp("Sin")
def sin(g: Graph, node: Node, dy: Name) -> Grads:
    """y = sin x; dx = dy cos x."""
    return (g.op("Mul", dy, g.op("Cos", node.inputs[0])),)


@vjp("Cos")
def cos(g: Graph, node: Node, dy: Name) -> Grads:
    """y = cos x; dx = -dy sin x."""
    return (g.op("Neg", g.op("Mul", dy, g.op("Sin", node.inputs[0]))),)


@vjp("Erf")
def erf(g: Graph, node: Node, dy: Name) -> Grads:
    """y = erf x; dx = dy 2 e^(-x^2) / sqrt(pi)."""
    x = node.inputs[0]
    bell = g.op("Exp", g.op("Neg", g.op("Mul", x, x)))
    return (g.op("Mul", dy, g.op("Mul", bell, g.scalar(2 / math.sqrt(math.pi), like=dy))),)


@vjp("Pow")
def power(g: Graph, node: Node, dy: Name) -> Grads:
    """y = a^b, broadcast; da = dy b a^(b-1), 0 at a = 0 if b < 1; db = dy y ln a, 0 if a <= 0.

    An integer b gets no gradient.
    """
    a, b = node.inputs
    da = db = None
    if node.needs(0):
        exponent = g.op("Cast", b, to=element_type(g.tensors[a].dtype))
        lower = g.op("Pow", a, g.op("Sub", exponent, g.scalar(1, like=a)))
        steep = g.op("Mul", dy, g.op("Mul", exponent, lower))
        da = g.unbroadcast(_without_poles(g, a, exponent, steep), like=a)
    if node.needs(1):
        zero = g.scalar(0, like=dy)
        slope = g.op("Mul", node.outputs[0], g.op("Log", a))
        steep = g.op("Where", g.op("Greater", a, zero), g.op("Mul", dy, slope), zero)
        db = g.unbroadcast(steep, like=b)
    return da, db


def _without_poles(g: Graph, a: Name, exponent: Name, steep: Name) -> Name:
    """d(a^b)/da, with 0 in place of anything infinite, or 0 times infinity, at a = 0."""
    if exponent in g.constants and np.all(g.constants[exponent] >= 1):
        return steep
    zero = g.scalar(0, like=a)
    root = g.op("Less", exponent, g.scalar(1, like=a))
    return g.op("Where", g.op("And", g.op("Equal", a, zero), root), zero, steep)


@vjp("Min")
def minimum(g: Graph, node: Node, dy: Name) -> Grads:
    """y = min(x1, x2, ...), broadcast; inputs that tie share the gradient equally."""
    return _to_the_chosen(g, node, dy)


@vjp("Max")
def maximum(g: Graph, node: Node, dy: Name) -> Grads:
    """y = max(x1, x2, ...), broadcast; inputs that tie share the gradient equally."""
    return _to_the_chosen(g, node, dy)


@vjp("Where")
def where(g: Graph, node: Node, dy: Name) -> Grads:
    """y = a where c, else b, broadcast; c gets no gradient. Shapes: c, a, b any."""
    c, a, b = node.inputs
    # Where, not a product with a mask: the value not chosen may be infinite, and 0 * inf is NaN.
    zero = g.scalar(0, like=dy)
    return (
        None,
        g.unbroadcast(g.op("Where", c, dy, zero), like=a) if node.needs(1) else None,
        g.unbroadcast(g.op("Where", c, zero, dy), like=b) if node.needs(2) else None,
    )


def _passed_on(g: Graph, node: Node, dy: Name) -> Grads:
    return tuple(
        g.unbroadcast(dy, like=x) if node.needs(i) else None for i, x in enumerate(node.inputs)
    )


def _to_the_chosen(g: Graph, node: Node, dy: Name) -> Grads:
    chosen = [g.mask(g.op("Equal", x, node.outputs[0]), like=dy) for x in node.inputs]
    share = g.op("Div", dy, g.op("Sum", *chosen)) if len(chosen) > 1 else dy
    return tuple(
        g.unbroadcast(g.op("Mul", share, chosen[i]), like=x) if node.needs(i) else None
        for i, x in enumerate(node.inputs)
    )
