"""Pooling over windows and over whole images."""

from math import gcd, prod

import numpy as np

from fedge.autodiff.graph import Graph, Name, Node
from fedge.autodiff.rules.edge import at_least
from fedge.autodiff.rules.window import Window
from fedge.autodiff.table import Grads, vjp

_ROW = 32  # window elements added in one row of a product: 16 to 64 are equally fast


@vjp("MaxPool")
def max_pool(g: Graph, node: Node, dy: Name) -> Grads:
    """y = max of x over windows; ties share equally, but where windows overlap one element wins.

    Shapes: x (n, c, ...), y (n, c, ...). One also wins where windows reach beyond x or span three
    axes: onnxruntime's index says which. In torch the first wins everywhere.
    """
    x = node.inputs[0]
    window = Window.of(node, tuple(node.attributes["kernel_shape"]))
    whole = not node.attributes["ceil_mode"]
    if whole and window.tiles and g.rank(x) <= 4:
        return (_tiled_maximum(g, node, window, dy),)
    # onnxruntime's MaxUnpool is wrong where windows overlap: it overwrites instead of adding.
    flat = g.op(
        "ScatterElements",
        g.zeros([g.size(x)], like=dy),
        g.reshape(node.outputs[1], [g.size(dy)]),
        g.reshape(dy, [g.size(dy)]),
        reduction="add",
    )
    return (g.reshape(flat, g.shape(x)),)


def _tiled_maximum(g: Graph, node: Node, window: Window, dy: Name) -> Name:
    """Enlarges y and dy to the size of x and compares: no indices are needed.

    Asking onnxruntime's MaxPool for indices makes it six times slower. Ties share the gradient:
    real images are full of ties, such as a background of zeros.
    """
    x, y = node.inputs[0], node.outputs[0]
    covered = [n * k for n, k in zip(g.shape(y)[2:], window.kernel, strict=True)]
    rest = window.remainder(g.shape(x)[2:], g.shape(y)[2:])
    axes = g.ints(range(2, g.rank(x)))
    if any(rest):
        x = g.op("Slice", x, g.ints([0] * len(covered)), g.ints(covered), axes)
    chosen = g.mask(g.op("Equal", x, _blown_up(g, y, window)), like=dy)
    dx = g.op("Mul", _blown_up(g, _shared(g, chosen, window, dy), window), chosen)
    if any(rest):
        sides = [0] * len(rest) + rest
        dx = g.op("Pad", dx, g.ints(sides), g.scalar(0, like=dy), axes)
    return dx


def _shared(g: Graph, chosen: Name, window: Window, dy: Name) -> Name:
    """dy / number of chosen elements in its window. Shapes: (n, c, *y kernel), (n, c, *y)."""
    if len(window.kernel) == 1:
        n_chosen = at_least(g, _n_chosen(g, chosen, window, dy), g.scalar(1, like=dy))
        return g.op("Div", dy, n_chosen)
    part = g.scalar(1 / prod(window.kernel), like=dy)
    mean = g.op("AveragePool", chosen, kernel_shape=window.kernel, strides=window.kernel)
    return g.op("Div", g.op("Mul", dy, part), at_least(g, mean, part))


def _n_chosen(g: Graph, chosen: Name, window: Window, dy: Name) -> Name:
    """The number of chosen elements per window along one axis, where windows are contiguous.

    A product with a matrix of zeros and ones adds up several windows at once, in half the time
    that AveragePool takes along one axis.
    """
    (k,) = window.kernel
    n_windows = gcd(g.size(dy), max(1, _ROW // k))
    sums = np.kron(np.eye(n_windows), np.ones((k, 1))).astype(g.tensors[dy].dtype)
    rows = g.reshape(chosen, (g.size(dy) // n_windows, k * n_windows))
    return g.reshape(g.op("MatMul", rows, g.constant(sums)), g.shape(dy))


def _blown_up(g: Graph, y: Name, window: Window) -> Name:
    """Each element repeated over its window. Shapes: (n, c, *y) to (n, c, *(y kernel))."""
    shape = g.shape(y)
    image = shape if len(shape) == 4 else (*shape[:2], 1, shape[2])
    scales = np.array([*[1] * (4 - len(window.kernel)), *window.kernel], np.float32)
    large = g.op(
        "Resize",
        g.reshape(y, image),
        "",
        g.constant(scales),
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )
    return g.reshape(large, [*shape[:2], *np.multiply(shape[2:], window.kernel).tolist()])


@vjp("AveragePool")
def average_pool(g: Graph, node: Node, dy: Name) -> Grads:
    """y = mean of x over windows. Shapes: x (n, c, ...), y (n, c, ...)."""
    window = Window.of(node, tuple(node.attributes["kernel_shape"]))
    n, c, *x = g.shape(node.inputs[0])
    y = g.shape(dy)[2:]
    padded = bool(node.attributes["count_include_pad"])
    share = g.op("Mul", dy, _shares(g, window, tuple(x), y, like=dy, padded=padded))
    if window.tiles and not any(window.remainder(tuple(x), y)):
        pairs = [pair for size, k in zip(y, window.kernel, strict=True) for pair in (size, k)]
        singles = [pair for size in y for pair in (size, 1)]
        spread = g.expand(g.reshape(share, (n, c, *singles)), (n, c, *pairs))
        return (g.reshape(spread, (n, c, *x)),)
    ones = np.ones((1, 1, *window.kernel), g.tensors[dy].dtype)
    dx = g.op(
        "ConvTranspose",
        g.reshape(share, (n * c, 1, *y)),
        g.constant(ones),
        strides=window.strides,
        pads=window.pads,
        output_padding=window.remainder(tuple(x), y),
    )
    return (g.reshape(dx, (n, c, *x)),)


def _shares(
    g: Graph, window: Window, x: tuple[int, ...], y: tuple[int, ...], *, like: Name, padded: bool
) -> Name:
    """1 / number of elements in each mean, shape () or y."""
    if padded or not any(window.pads):
        return g.scalar(1 / prod(window.kernel), like=like)
    counts = np.ones(())
    for i, (size, positions) in enumerate(zip(x, y, strict=True)):
        starts = np.arange(positions) * window.strides[i] - window.before[i]
        inside = np.minimum(starts + window.kernel[i], size) - np.maximum(starts, 0)
        counts = np.multiply.outer(counts, inside)
    return g.constant((1 / counts).astype(g.tensors[like].dtype))


@vjp("GlobalAveragePool")
def global_average_pool(g: Graph, node: Node, dy: Name) -> Grads:
    """y = mean of x over all positions. Shapes: x (n, c, ...), y (n, c, 1, ...)."""
    shape = g.shape(node.inputs[0])
    return (g.expand(g.op("Mul", dy, g.scalar(1 / prod(shape[2:]), like=dy)), shape),)


@vjp("GlobalMaxPool")
def global_max_pool(g: Graph, node: Node, dy: Name) -> Grads:
    """y = max of x over all positions; elements that tie share the gradient equally."""
    x, y = node.inputs[0], node.outputs[0]
    chosen = g.mask(g.op("Equal", x, y), like=dy)
    n_chosen = g.sum(chosen, range(2, g.rank(x)), keepdims=True)
    share = g.op("Div", dy, at_least(g, n_chosen, g.scalar(1, like=dy)))
    return (g.op("Mul", chosen, share),)
