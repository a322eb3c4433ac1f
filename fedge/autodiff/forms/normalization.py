"""Normalisations, by statistics of the model or of the example."""

from fedge.autodiff.forms.table import Call, canonical
from fedge.autodiff.graph import Graph, Name


@canonical("BatchNormalization")
def batch_normalization(g: Graph, call: Call) -> tuple[Name, ...]:
    """With frozen statistics; the training attributes and `spatial` are removed."""
    if call.attributes.get("training_mode", 0) or call.n_outputs > 1:
        raise ValueError("is in training mode; export the model for inference")
    if not call.attributes.get("spatial", 1):
        raise ValueError("normalises each position by itself (spatial = 0), which opset 18 cannot")
    return (g.op("BatchNormalization", *call.inputs, **call.without("spatial", "momentum")),)


@canonical("LayerNormalization")
def layer_normalization(g: Graph, call: Call) -> tuple[Name, ...]:
    """Without its optional outputs, mean and deviation: a model that reads them is refused."""
    return (g.op("LayerNormalization", *call.inputs, **call.attributes),)


@canonical("GroupNormalization")
def group_normalization(g: Graph, call: Call) -> tuple[Name, ...]:
    """By its formula; scale and bias were per group in opset 18 and are per channel since 21.

    Shapes: x (n, channels, ...); each example's groups of channels get mean 0 and variance 1.
    """
    x, scale, bias = call.inputs
    n_channels, n_groups = g.shape(x)[1], call.attributes["num_groups"]
    column = (1, n_channels, *[1] * (g.rank(x) - 2))
    normal = _normalised(g, call, n_groups)

    def by_channel(values: Name) -> Name:
        if g.size(values) == n_channels:
            return g.reshape(values, column)
        each = g.expand(g.reshape(values, (n_groups, 1)), (n_groups, n_channels // n_groups))
        return g.reshape(each, column)

    return (g.op("Add", g.op("Mul", normal, by_channel(scale)), by_channel(bias)),)


@canonical("InstanceNormalization")
def instance_normalization(g: Graph, call: Call) -> tuple[Name, ...]:
    """By its formula: each channel of each example gets mean 0 and variance 1."""
    x, scale, bias = call.inputs
    column = (1, g.shape(x)[1], *[1] * (g.rank(x) - 2))
    scaled = g.op("Mul", _normalised(g, call, g.shape(x)[1]), g.reshape(scale, column))
    return (g.op("Add", scaled, g.reshape(bias, column)),)


def _normalised(g: Graph, call: Call, n_groups: int) -> Name:
    """Mean 0 and variance 1 over the channels of a group and all positions, per example."""
    x = call.inputs[0]
    n, last = g.shape(x)[0], g.ints([2])
    rows = g.reshape(x, (n, n_groups, g.size(x) // (n * n_groups)))
    centred = g.op("Sub", rows, g.op("ReduceMean", rows, last))
    variance = g.op("ReduceMean", g.op("Mul", centred, centred), last)
    floor = g.scalar(call.attributes.get("epsilon", 1e-5), like=x)
    deviation = g.op("Sqrt", g.op("Add", variance, floor))
    return g.reshape(g.op("Div", centred, deviation), g.shape(x))
