"""Normalisations."""

from fedge.autodiff.graph import Graph, Name, Node
from fedge.autodiff.table import Grads, vjp


@vjp("BatchNormalization")
def batch_normalization(g: Graph, node: Node, dy: Name) -> Grads:
    """y = s (x - m) / sqrt(v + e) + b, per channel. Shapes: x (n, c, ...); s, b, m, v (c,).

    The statistics m and v are the model's, frozen: on a device, batch statistics
    of its own data would shift those of the fleet.
    """
    x, s, _, m, v = node.inputs
    variance = g.op("Add", v, g.scalar(node.attributes["epsilon"], like=v))
    inverse = g.op("Reciprocal", g.op("Sqrt", variance))
    others = [axis for axis in range(g.rank(x)) if axis != 1]
    dx = ds = None
    if node.needs(0):
        dx = g.op("Mul", dy, _per_channel(g, g.op("Mul", s, inverse), x))
    if node.needs(1):
        centred = g.op("Sub", x, _per_channel(g, m, x))
        ds = g.op("Mul", g.sum(g.op("Mul", dy, centred), others), inverse)
    return dx, ds, g.sum(dy, others) if node.needs(2) else None


@vjp("LayerNormalization")
def layer_normalization(g: Graph, node: Node, dy: Name) -> Grads:
    """y = s h + b, h = (x - mean) / sqrt(var + e) over the axes from `axis` on."""
    x, s, *rest = node.inputs
    axes = g.ints(range(int(node.attributes["axis"]) % g.rank(x), g.rank(x)))

    def mean(value: Name) -> Name:
        return g.op("ReduceMean", value, axes)

    centred = g.op("Sub", x, mean(x))
    variance = g.op("Add", mean(g.op("Mul", centred, centred)), _epsilon(g, node))
    inverse = g.op("Reciprocal", g.op("Sqrt", variance))
    h = g.op("Mul", centred, inverse)
    dh = g.op("Mul", dy, s)
    inner = g.op("Sub", g.op("Sub", dh, mean(dh)), g.op("Mul", h, mean(g.op("Mul", dh, h))))
    return (
        g.op("Mul", inverse, inner) if node.needs(0) else None,
        g.unbroadcast(g.op("Mul", dy, h), like=s) if node.needs(1) else None,
        g.unbroadcast(dy, like=rest[0]) if node.needs(2) else None,
    )


def _epsilon(g: Graph, node: Node) -> Name:
    return g.scalar(node.attributes["epsilon"], like=node.inputs[0])


def _per_channel(g: Graph, values: Name, x: Name) -> Name:
    return g.reshape(values, (1, g.size(values), *[1] * (g.rank(x) - 2)))
