"""Operators that sum, average or select along axes."""

import math
from collections.abc import Sequence

from fedge.artifact.safety.messages import Shape
from fedge.artifact.safety.sizes.table import Call, axis_of, rule

_REDUCE = ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare")


@rule(*(f"Reduce{how}" for how in _REDUCE))
def reduce(call: Call) -> list[Shape]:
    """Without the axes, or with size 1 there; all axes if none are named."""
    x = call.shape(0)
    axes = call.axes(1, len(x))
    if not axes:
        axes = () if call.option("noop_with_empty_axes", 0) else tuple(range(len(x)))
    return [_without(x, axes, keeps=call.option("keepdims", 1) != 0)]


@rule("ArgMax", "ArgMin")
def arg(call: Call) -> list[Shape]:
    """The position of the largest or smallest along one axis."""
    x = call.shape(0)
    axis = axis_of(call.option("axis", 0), len(x))
    return [_without(x, (axis,), keeps=call.option("keepdims", 1) != 0)]


@rule("TopK")
def top_k(call: Call) -> list[Shape]:
    """The k largest along an axis, and their positions."""
    x = list(call.shape(0))
    (k,) = call.integers(1)
    x[axis_of(call.option("axis", -1), len(x))] = k
    return [tuple(x)] * 2


@rule("GlobalAveragePool", "GlobalLpPool", "GlobalMaxPool")
def global_pool(call: Call) -> list[Shape]:
    """One number per channel."""
    x = call.shape(0)
    return [(*x[:2], *[1] * (len(x) - 2))]


def _det_work(call: Call, _outputs: Sequence[Shape]) -> int:
    return math.prod(call.shape(0)) * call.shape(0)[-1]


@rule("Det", work=_det_work)
def det(call: Call) -> list[Shape]:
    """One number per matrix."""
    return [call.shape(0)[:-2]]


@rule("SoftmaxCrossEntropyLoss", "NegativeLogLikelihoodLoss")
def loss(call: Call) -> list[Shape]:
    """One number, or one per label; then the logarithms of the probabilities."""
    is_each = call.word("reduction", "mean") == "none"
    return [call.shape(1) if is_each else (), call.shape(0)]


@rule("Size")
def size(call: Call) -> list[Shape]:
    """How many elements there are."""
    call.shape(0)
    return [()]


def _without(x: Shape, axes: tuple[int, ...], *, keeps: bool) -> Shape:
    if keeps:
        return tuple(1 if i in axes else size for i, size in enumerate(x))
    return tuple(size for i, size in enumerate(x) if i not in axes)
