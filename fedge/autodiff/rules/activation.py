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
    """y = x where x > 0, else alpha x; slope alpha at 0."""
    x = node.inputs[0]
    slow = g.op("Mul", dy, g.scalar(node.attributes["alpha"], like=dy))
    return (g.op("Where", _positive(g, x), dy, slow),)


@vjp("PRelu")
def prelu(g: Graph, node: Node, dy: Name) -> Grads:
    """y = x where x > 0, else s x; slope s at 0. Shapes: s broadcasts to x."""
    x, s = node.inputs
    positive = _positive(g, x)
    ds = g.op("Where", positive, g.scalar(0, like=dy), g.op("Mul", dy, x))
    return (
        g.op("Where", positive, dy, g.op("Mul", dy, s)) if node.needs(0) else None,
        g.unbroadcast(ds, like=s) if node.needs(1) else None,
    )


@vjp("Elu")
def elu(g: Graph, node: Node, dy: Name) -> Grads:
    """y = x where x > 0, else alpha (e^x - 1), whose slope is y + alpha; alpha at 0."""
    x, y = node.inputs[0], node.outputs[0]
    alpha = node.attributes["alpha"]
    # y has the sign of x, and x need not be kept in memory, unless alpha is below zero.
    positive = _positive(g, y if alpha >= 0 else x)
    slope = g.op("Add", y, g.scalar(alpha, like=y))
    return (g.op("Where", positive, dy, g.op("Mul", dy, slope)),)


@vjp("Selu")
def selu(g: Graph, node: Node, dy: Name) -> Grads:
    """y = gamma x where x > 0, else gamma alpha (e^x - 1), of slope y + gamma alpha, at 0 too."""
    x, y = node.inputs[0], node.outputs[0]
    gamma, alpha = node.attributes["gamma"], node.attributes["alpha"]
    positive = _positive(g, y if min(gamma, alpha) >= 0 else x)
    steep = g.op("Mul", dy, g.scalar(gamma, like=dy))
    slope = g.op("Add", y, g.scalar(gamma * alpha, like=y))
    return (g.op("Where", positive, steep, g.op("Mul", dy, slope)),)


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
    """y = min(max(x, low), high); slope 1, bounds included, but from 0 to 6 (Relu6) excluded.

    torch.clamp and torch.nn.functional.relu6 do the same. A parameter that starts on its bound
    must be able to leave it; an image's zero background must not reach Relu6's input. The bounds
    get no gradient.
    """
    x, y = node.inputs[0], node.outputs[0]
    low, high = (*node.inputs[1:], "", "")[:2]
    if not low and not high:
        return (dy,)
    if _is(g, low, 0) and _is(g, high, 6):  # y decides, so that x need not be kept in memory
        return (g.op("Mul", dy, _between(g, y, low, high)),)
    return (g.op("Mul", dy, g.mask(g.op("Equal", x, y), like=dy)),)


def _is(g: Graph, bound: Name, value: float) -> bool:
    return bound in g.constants and bool(g.constants[bound] == value)


def _positive(g: Graph, x: Name) -> Name:
    return g.op("Greater", x, g.scalar(0, like=x))


def _between(g: Graph, y: Name, low: Name, high: Name) -> Name:
    """1 where low < y < high, else 0."""
    return g.mask(g.op("And", g.op("Greater", y, low), g.op("Less", y, high)), like=y)
