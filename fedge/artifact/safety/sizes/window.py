"""Convolutions and pooling."""

import math
from collections.abc import Sequence

from fedge.artifact.safety.messages import Shape
from fedge.artifact.safety.sizes.table import Call, UnsizedError, rule


def _kernel_work(call: Call, outputs: Sequence[Shape]) -> int:
    """Each element of the output sums over a kernel of each channel of its group."""
    at = {"QLinearConv": 3}.get(call.op_type, 1)
    return math.prod(outputs[0]) * math.prod(call.shape(at)[1:])


def _transposed_work(call: Call, _outputs: Sequence[Shape]) -> int:
    """Each element of the input meets a kernel of each channel of its group."""
    return math.prod(call.shape(0)) * math.prod(call.shape(1)[1:])


def _pool_work(call: Call, outputs: Sequence[Shape]) -> int:
    return math.prod(outputs[0]) * math.prod(call.options("kernel_shape", ()))


@rule("Conv", "ConvInteger", work=_kernel_work)
def conv(call: Call) -> list[Shape]:
    """x (n, c, ...), w (m, c / group, ...), y (n, m, ...)."""
    return _convolved(call, call.shape(0), call.shape(1))


@rule("QLinearConv", work=_kernel_work)
def q_linear_conv(call: Call) -> list[Shape]:
    """The same of quantised numbers."""
    return _convolved(call, call.shape(0), call.shape(3))


@rule("ConvTranspose", work=_transposed_work)
def conv_transpose(call: Call) -> list[Shape]:
    """x (n, c, ...), w (c, m / group, ...), y (n, m, ...)."""
    x, w = call.shape(0), call.shape(1)
    rank = len(x) - 2
    strides, dilations = _steps(call, rank)
    channels = w[1] * call.option("group", 1)
    given = call.options("output_shape", ())
    if given:
        return [(x[0], channels, *given[-rank:])]
    more = call.options("output_padding", (0,) * rank)
    pads = call.options("pads", (0,) * (2 * rank))
    if call.word("auto_pad", "NOTSET").startswith("SAME"):
        return [(x[0], channels, *(n * s for n, s in zip(x[2:], strides, strict=True)))]
    sizes = [
        s * (n - 1) + extra + (k - 1) * d + 1 - pads[i] - pads[rank + i]
        for i, (n, k, s, d, extra) in enumerate(
            zip(x[2:], w[2:], strides, dilations, more, strict=True)
        )
    ]
    return [(x[0], channels, *sizes)]


@rule("AveragePool", "LpPool", "MaxPool", work=_pool_work)
def pool(call: Call) -> list[Shape]:
    """One number per window and channel; for a maximum its position too."""
    x = call.shape(0)
    sizes = _positions(call, x[2:], call.options("kernel_shape", ()))
    return [(*x[:2], *sizes)] * 2


def _convolved(call: Call, x: Shape, w: Shape) -> list[Shape]:
    if x[1] != w[1] * call.option("group", 1):
        raise UnsizedError(f"{x[1]} channels do not fit its kernel")
    return [(x[0], w[0], *_positions(call, x[2:], w[2:]))]


def _steps(call: Call, rank: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    ones = (1,) * rank
    strides, dilations = call.options("strides", ones), call.options("dilations", ones)
    if min(*strides, *dilations, 1) < 1:
        raise UnsizedError("its strides or dilations are below 1")
    return strides, dilations


def _positions(call: Call, x: Shape, kernel: Sequence[int]) -> list[int]:
    """How many windows there are along each axis."""
    rank = len(x)
    strides, dilations = _steps(call, rank)
    pads = call.options("pads", (0,) * (2 * rank))
    how, rounds_up = call.word("auto_pad", "NOTSET"), call.option("ceil_mode", 0) != 0
    sizes = []
    for i, (n, k, s, d) in enumerate(zip(x, kernel, strides, dilations, strict=True)):
        if how.startswith("SAME"):
            sizes.append(-(-n // s))
            continue
        before, after = (0, 0) if how == "VALID" else (pads[i], pads[rank + i])
        room = n + before + after - (k - 1) * d - 1
        size = (-(-room // s) if rounds_up else room // s) + 1
        # A last window that would start beyond the input does not count.
        sizes.append(size - (rounds_up and (size - 1) * s >= n + before))
    return sizes
