"""Loss functions: scores and targets to one loss per example, and its slope.

A loss over several positions or elements of an example is their mean. Class
scores are taken before a final Softmax, binary ones before a final Sigmoid:
the loss of a saturated probability has no usable gradient in float32. Each
slope is written by hand, shorter than what the rules would derive.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fedge.autodiff.graph import Graph, Name, Node
from fedge.autodiff.infer import Tensor
from fedge.errors import ConfigError, ModelError


@dataclass(frozen=True, slots=True)
class Loss:
    """How outputs are compared with targets.

    Attributes:
        scores: from the model's output to what the loss takes.
        target: type and shape of the targets, batch first.
        losses: from scores and targets to the losses, shape (batch,), and their
            derivatives with respect to the scores, in the scores' shape.
        has_classes: whether axis 1 of the scores is classes.
    """

    scores: Callable[[Graph, Name], Name]
    target: Callable[[Tensor], Tensor]
    losses: Callable[[Graph, Name, Name], tuple[Name, Name]]
    has_classes: bool = False


def get_loss(name: str) -> Loss:
    """The loss of this name; a ConfigError lists the known ones."""
    if name not in LOSSES:
        raise ConfigError(f"unknown loss {name!r}; known are {', '.join(LOSSES)}")
    return LOSSES[name]


def _before_softmax(g: Graph, output: Name) -> Name:
    """Scores whose softmax along axis 1 is the output; the output itself if it is no softmax.

    Raises:
        ModelError: if it is a softmax along another axis.
    """
    node = _producer(g, output)
    if node is None:
        return output
    if node.op_type == "Identity":
        return _before_softmax(g, node.inputs[0])
    if node.op_type in ("Softmax", "LogSoftmax"):
        if node.attributes["axis"] % g.rank(output) != 1:
            raise ModelError(
                f"the final {node.op_type} runs along axis {node.attributes['axis']}, but "
                "cross_entropy takes classes along axis 1; transpose the output before it"
            )
        return node.inputs[0]
    return _decomposed_softmax(g, node) or _of_one_probability(g, node) or output


def _decomposed_softmax(g: Graph, division: Node) -> Name | None:
    """The x of exp(x - max x) / sum exp(x - max x), as exporters without Softmax write it."""
    exp = _producer(g, division.inputs[0])
    total = _producer(g, division.inputs[-1])
    if division.op_type != "Div" or exp is None or total is None or exp.op_type != "Exp":
        return None
    if total.op_type != "ReduceSum" or total.inputs[0] != exp.outputs[0] or not _over_1(g, total):
        return None
    # Whatever was subtracted along the axis does not change the softmax.
    shifted = _producer(g, exp.inputs[0])
    if shifted is None or shifted.op_type != "Sub":
        return exp.inputs[0]
    top = _producer(g, shifted.inputs[1])
    is_max = top is not None and top.op_type == "ReduceMax" and _over_1(g, top)
    return shifted.inputs[0] if is_max else exp.inputs[0]


def _of_one_probability(g: Graph, join: Node) -> Name | None:
    """(0, x), whose softmax is (1 - p, p) with p = sigmoid(x): two classes in one score."""
    if join.op_type != "Concat" or len(join.inputs) != 2 or g.rank(join.outputs[0]) != 2:
        return None
    rest, p = join.inputs
    sigmoid, minus = _producer(g, p), _producer(g, rest)
    if sigmoid is None or minus is None or (sigmoid.op_type, minus.op_type) != ("Sigmoid", "Sub"):
        return None
    one = g.constants.get(minus.inputs[0])
    if minus.inputs[1] != p or one is None or not (one == 1).all() or g.shape(p)[1] != 1:
        return None
    zero = g.constant(np.zeros(g.shape(p), g.tensors[p].dtype))
    return g.op("Concat", zero, sigmoid.inputs[0], axis=1)


def _over_1(g: Graph, node: Node) -> bool:
    axes = g.integers(node.inputs[1])
    return len(axes) == 1 and axes[0] % g.rank(node.inputs[0]) == 1


def _before_sigmoid(g: Graph, output: Name) -> Name:
    """Scores whose sigmoid is the output; the output itself if it is no sigmoid."""
    node = _producer(g, output)
    if node is None or node.op_type not in ("Sigmoid", "Identity"):
        return output
    return node.inputs[0] if node.op_type == "Sigmoid" else _before_sigmoid(g, node.inputs[0])


def _as_it_is(_g: Graph, output: Name) -> Name:
    return output


def _producer(g: Graph, name: Name) -> Node | None:
    return next((node for node in g.nodes if name in node.outputs), None)


def _class_target(scores: Tensor) -> Tensor:
    if len(scores.shape) < 2 or scores.shape[1] < 2:
        raise ModelError(
            f"cross_entropy needs an output of shape [batch, classes, ...] with two classes or "
            f"more, this one is {list(scores.shape)}; for one probability use binary_cross_entropy"
        )
    return Tensor(np.dtype(np.int64), (scores.shape[0], *scores.shape[2:]))


def _same_shape(scores: Tensor) -> Tensor:
    return scores


def _cross_entropy(g: Graph, scores: Name, target: Name) -> tuple[Name, Name]:
    """-ln p[target], p = softmax(scores); slope p - one_hot. Shapes: (b, c, ...), (b, ...).

    The target's value is picked, not multiplied by 1: a masked class has ln p = -infinity.
    """
    minus_one = np.array([0, -1], g.tensors[scores].dtype)
    depth = g.constant(np.asarray(g.shape(scores)[1], np.int64))
    minus_hot = g.op("OneHot", target, depth, g.constant(minus_one), axis=1)
    log_p = g.op("LogSoftmax", scores, axis=1)
    is_target = g.op("Less", minus_hot, g.scalar(0, like=scores))
    losses = g.op("Neg", g.sum(g.op("Where", is_target, log_p, g.scalar(0, like=scores)), [1]))
    return _mean(g, losses, g.op("Add", g.op("Exp", log_p), minus_hot))


def _mse(g: Graph, scores: Name, target: Name) -> tuple[Name, Name]:
    """(scores - target)^2; slope 2 (scores - target). Shapes: both (b, ...)."""
    gap = g.op("Sub", scores, target)
    return _mean(g, g.op("Mul", gap, gap), g.op("Add", gap, gap))


def _binary_cross_entropy(g: Graph, scores: Name, target: Name) -> tuple[Name, Name]:
    """-t ln p - (1 - t) ln(1 - p), p = sigmoid(scores); slope p - t. Shapes: both (b, ...).

    Computed as ln(1 + e^scores) - t scores, which is finite for every score.
    """
    losses = g.op("Sub", g.op("Softplus", scores), g.op("Mul", target, scores))
    return _mean(g, losses, g.op("Sub", g.op("Sigmoid", scores), target))


def _mean(g: Graph, losses: Name, slope: Name) -> tuple[Name, Name]:
    """The mean over all axes but the first, and the slope divided by their size."""
    if g.rank(losses) == 1:
        return losses, slope
    share = g.scalar(g.shape(losses)[0] / g.size(losses), like=slope)
    axes = g.ints(range(1, g.rank(losses)))
    return g.op("ReduceMean", losses, axes, keepdims=0), g.op("Mul", slope, share)


LOSSES = {
    "cross_entropy": Loss(_before_softmax, _class_target, _cross_entropy, has_classes=True),
    "mse": Loss(_as_it_is, _same_shape, _mse),
    "binary_cross_entropy": Loss(_before_sigmoid, _same_shape, _binary_cross_entropy),
}
