"""Activation functions: one input, element by element."""

from fedge.autodiff.graph import Graph, Name, Node
from fedge.autodiff.table import Grads, vjp


@vjp("Relu")
def relu(g: Graph, node: Node, dy: Name) -> Grads:
    """y = max(x, 0); slope 0 at 0."""
    y = node.outputs[0]
    return (g.op("Mul", dy, g.mask(g.op("Greater", y, g.scalar(0, like=y)), like=dy)),)


@vjp("LeakyRelu")
def leaky_relu(g: Graph, node: Node, dy: Name) -> Grads:
    """y = x where x > 0, else alpha x."""
    x = node.inputs[0]
    slow = g.op("Mul", dy, g.scalar(node.attributes["alpha"], like=dy))
    return (g.op("Where", _positive(g, x), dy, slow),)


@vjp("PRelu")
def prelu(g: Graph, node: Node, dy: Name) -> Grads:
    """y = x where x > 0, else s x. Shapes: s broadcasts to x."""
    x, s = node.inputs
    positive = _positive(g, x)
    ds = g.op("Where", positive, g.scalar(0, like=dy), g.op("Mul", dy, x))
    return (
        g.op("Where", positive, dy, g.op("Mul", dy, s)) if node.needs(0) else None,
        g.unbroadcast(ds, like=s) if node.needs(1) else None,
    )


@vjp("Elu")
def elu(g: Graph, node: Node, dy: Name) -> Grads:
    """y = x where x > 0, else alpha (e^x - 1), whose slope is y + alpha."""
    y = node.outputs[0]
    slope = g.op("Add", y, g.scalar(node.attributes["alpha"], like=y))
    return (g.op("Where", _positive(g, y), dy, g.op("Mul", dy, slope)),)


@vjp("Selu")
def selu(g: Graph, node: Node, dy: Name) -> Grads:
    """y = gamma x where x > 0, else gamma alpha (e^x - 1), whose slope is y + gamma alpha."""
    y = node.outputs[0]
    gamma, alpha = node.attributes["gamma"], node.attributes["alpha"]
    steep = g.op("Mul", dy, g.scalar(gamma, like=dy))
    slope = g.op("Add", y, g.scalar(gamma * alpha, like=y))
    return (g.op("Where", _positive(g, y), steep, g.op("Mul", dy, slope)),)


@vjp("Sigmoid")
def sigmoid(g: Graph, node: Node, dy: Name) -> Grads:
    """y = 1 / (1 + e^-x); dx = dy y (1 - y)."""
    y = node.outputs[0]
    return (g.op("Mul", dy, g.op("Mul", y, g.op("Sub", g.scalar(1, like=y), y))),)


@vjp("Tanh")
def tanh(g: Graph, node: Node, dy: Name) -> Grads:
    """y = tanh x; dx = dy (1 - y^2)."""
    y = node.outputs[0]
    return (g.op("Mul", dy, g.op("Sub", g.scalar(1, like=y), g.op("Mul", y, y))),)


@vjp("Softplus")
def softplus(g: Graph, node: Node, dy: Name) -> Grads:
    """y = ln(1 + e^x); dx = dy sigmoid(x)."""
    return (g.op("Mul", dy, g.op("Sigmoid", node.inputs[0])),)


@vjp("HardSigmoid")
def hard_sigmoid(g: Graph, node: Node, dy: Name) -> Grads:
    """y = min(max(alpha x + beta, 0), 1); slope alpha strictly between 0 and 1."""
    y = node.outputs[0]
    slope = g.op("Mul", dy, g.scalar(node.attributes["alpha"], like=dy))
    return (g.op("Mul", slope, _between(g, y, g.scalar(0, like=y), g.scalar(1, like=y))),)


@vjp("HardSwish")
def hard_swish(g: Graph, node: Node, dy: Name) -> Grads:
    """y = x min(max(x/6 + 1/2, 0), 1); slope x/3 + 1/2 for |x| < 3, else 0 or 1."""
    x = node.inputs[0]
    line = g.op("Add", g.op("Div", x, g.scalar(3, like=x)), g.scalar(0.5, like=x))
    below = g.op("Greater", x, g.scalar(-3, like=x))
    above = g.op("Less", x, g.scalar(3, like=x))
    slope = g.op("Where", above, line, g.scalar(1, like=x))
    return (g.op("Mul", g.op("Mul", dy, slope), g.mask(below, like=dy)),)


@vjp("Clip")
def clip(g: Graph, node: Node, dy: Name) -> Grads:
    """y = min(max(x, low), high); slope 1 strictly between. The bounds take no gradient."""
    y = node.outputs[0]
    low, high = (*node.inputs[1:], "", "")[:2]
    # The output decides, so that the input need not be kept in memory.
    return (g.op("Mul", dy, _between(g, y, low, high)) if low or high else dy,)


def _positive(g: Graph, x: Name) -> Name:
    return g.op("Greater", x, g.scalar(0, like=x))


def _between(g: Graph, y: Name, low: Name, high: Name) -> Name:
    """1 where low < y < high, else 0; a bound called "" does not bound."""
    sides = [g.op("Greater", y, low)] if low else []
    sides += [g.op("Less", y, high)] if high else []
    return g.mask(sides[0] if len(sides) == 1 else g.op("And", *sides), like=y)
