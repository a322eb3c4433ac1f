"""Operators that pick elements: their gradients put them back and add zeros elsewhere."""

import numpy as np

from fedge.autodiff.graph import Graph, Name, Node
from fedge.autodiff.table import Grads, vjp


@vjp("Slice")
def slice_(g: Graph, node: Node, dy: Name) -> Grads:
    """y = x[start:end:step, ...] along some axes."""
    shape = g.shape(node.inputs[0])
    before, after = [0] * len(shape), [0] * len(shape)
    for axis, picked in _picked(g, node).items():
        if picked.step == 1 and len(picked):
            before[axis], after[axis] = picked[0], shape[axis] - 1 - picked[-1]
        else:
            dy = _spread(g, dy, axis, picked, shape[axis])
    if any(before) or any(after):
        dy = g.op("Pad", dy, g.ints(before + after), g.scalar(0, like=dy))
    return (dy,)


def _picked(g: Graph, node: Node) -> dict[int, range]:
    """The indices taken along each sliced axis."""
    shape = g.shape(node.inputs[0])
    starts, ends, *rest = (g.integers(name) for name in node.inputs[1:] if name)
    axes = rest[0] if rest else range(len(starts))
    steps = rest[1] if len(rest) > 1 else [1] * len(starts)
    return {
        axis % len(shape): range(shape[axis])[_bounds(start, end, step)]
        for axis, start, end, step in zip(axes, starts, ends, steps, strict=True)
    }


def _bounds(start: int, end: int, step: int) -> slice:
    # Going backwards, an end far below zero means "past the first element", like None.
    return slice(start, None if step < 0 and end < -(2**30) else end, step)


def _spread(g: Graph, dy: Name, axis: int, picked: range, size: int) -> Name:
    """Puts slices back in their places: each index of x gets its slice, or a slice of zeros."""
    zeros = g.zeros([1 if i == axis else n for i, n in enumerate(g.shape(dy))], like=dy)
    source = np.full(size, len(picked), np.int64)
    source[list(picked)] = np.arange(len(picked))
    return g.op("Gather", g.op("Concat", dy, zeros, axis=axis), g.constant(source), axis=axis)


@vjp("Pad")
def pad(g: Graph, node: Node, dy: Name) -> Grads:
    """y = x with constants around it, or cropped where a pad is negative."""
    if node.attributes["mode"] != "constant":
        raise ValueError(f"mode {node.attributes['mode']!r} instead of 'constant'")
    x, pads = node.inputs[0], g.integers(node.inputs[1])
    given = node.inputs[3] if len(node.inputs) > 3 else ""
    axes = [axis % g.rank(x) for axis in g.integers(given)] if given else range(g.rank(x))
    before, after = [0] * g.rank(x), [0] * g.rank(x)
    for i, axis in enumerate(axes):
        before[axis], after[axis] = -pads[i], -pads[i + len(axes)]
    return (g.op("Pad", dy, g.ints(before + after), g.scalar(0, like=dy)),)


@vjp("Gather")
def gather(g: Graph, node: Node, dy: Name) -> Grads:
    """y = x[i] along an axis. Shapes: x (.., n, ..), i any, y (.., *i.shape, ..)."""
    x, indices = node.inputs
    axis = int(node.attributes["axis"]) % g.rank(x)
    lead, tail = g.shape(x)[:axis], g.shape(x)[axis + 1 :]
    slices = (*lead, g.size(indices), *tail)
    column = g.reshape(indices, (*[1] * axis, g.size(indices), *[1] * len(tail)))
    # ScatterElements, not ScatterND, which adds from several threads at once.
    dx = g.op(
        "ScatterElements",
        g.zeros(g.shape(x), like=dy),
        g.expand(column, slices),
        g.reshape(dy, slices),
        axis=axis,
        reduction="add",
    )
    return (dx,)


@vjp("GatherElements")
def gather_elements(g: Graph, node: Node, dy: Name) -> Grads:
    """y[i, j] = x[k[i, j], j], along an axis. Shapes: y as k."""
    x, indices = node.inputs
    zeros = g.zeros(g.shape(x), like=dy)
    axis = node.attributes["axis"]
    return (g.op("ScatterElements", zeros, indices, dy, axis=axis, reduction="add"),)
