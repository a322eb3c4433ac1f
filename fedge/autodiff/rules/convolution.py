"""Convolutions, with any number of spatial axes, strides, dilations, padding and groups."""

from math import prod

from fedge.autodiff.graph import Graph, Name, Node
from fedge.autodiff.rules.depthwise import depthwise_kernel_gradient, is_depthwise
from fedge.autodiff.rules.linear import swapped
from fedge.autodiff.rules.window import Window
from fedge.autodiff.table import Grads, vjp

# Fewer input channels than this make one product per kernel element too thin:
# 0.66 ms against 2.7 ms at 1 channel, 8.0 ms against 4.6 ms at 16 (x86-64, one thread).
_FEW_CHANNELS = 12


@vjp("Conv")
def conv(g: Graph, node: Node, dy: Name) -> Grads:
    """y = x * w + b. Shapes: x (n, c, ...), w (m, c / group, ...), b (m,), y (n, m, ...)."""
    x, w = node.inputs[:2]
    window = Window.of(node, g.shape(w)[2:])
    group = int(node.attributes["group"])
    spatial = [0, *range(2, g.rank(x))]
    return (
        _input_gradient(g, window, x, w, dy, group) if node.needs(0) else None,
        g.reshape(_kernel_gradient(g, window, x, dy, group), g.shape(w)) if node.needs(1) else None,
        g.sum(dy, spatial) if node.needs(2) else None,
    )


def _input_gradient(g: Graph, window: Window, x: Name, w: Name, dy: Name, group: int) -> Name:
    if group == 1 and set(window.kernel + window.strides) == {1} and not any(window.pads):
        perm = (1, 0, *range(2, g.rank(w)))
        return g.op("Conv", dy, g.transpose(w, perm))  # a matrix product, twice as fast
    return g.op(
        "ConvTranspose",
        dy,
        w,
        group=group,
        strides=window.strides,
        dilations=window.dilations,
        pads=window.pads,
        output_padding=window.remainder(g.shape(x)[2:], g.shape(dy)[2:]),
    )


def _kernel_gradient(g: Graph, window: Window, x: Name, dy: Name, group: int) -> Name:
    """The gradient of w, with w's elements in order."""
    n, m, *y = g.shape(dy)
    c = g.shape(x)[1]
    if is_depthwise(g, x, dy, group):
        return depthwise_kernel_gradient(g, window, x, dy)
    seen = [g.reshape(tap, (n, group, c // group, prod(y))) for tap in window.taps(g, x, tuple(y))]
    rows = g.reshape(dy, (n, group, m // group, prod(y)))
    if c // group < _FEW_CHANNELS:
        return _one_product(g, rows, seen)
    parts = [_unsqueezed(g, _product(g, rows, tap)) for tap in seen]
    return _joined(g, parts, axis=3)


def _one_product(g: Graph, rows: Name, seen: list[Name]) -> Name:
    """All kernel elements in one product: copies more, multiplies faster."""
    product = _product(g, rows, _joined(g, seen, axis=2))  # (group, m / group, taps c / group)
    *lead, width = g.shape(product)
    split = g.reshape(product, (*lead, len(seen), width // len(seen)))
    return g.transpose(split, (0, 1, 3, 2))


def _product(g: Graph, rows: Name, columns: Name) -> Name:
    """Sum over examples and positions. Shapes: (n, g, m, p), (n, g, c, p) to (g, m, c)."""
    return g.sum(g.op("MatMul", rows, swapped(g, columns)), [0])


def _unsqueezed(g: Graph, x: Name) -> Name:
    return g.reshape(x, (*g.shape(x), 1))


def _joined(g: Graph, parts: list[Name], axis: int) -> Name:
    return g.op("Concat", *parts, axis=axis) if len(parts) > 1 else parts[0]
