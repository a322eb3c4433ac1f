"""torch as a second witness: a graph of canonical nodes, run and differentiated by torch.

Where torch has the operator itself, that is used, so that the choice of subgradient is torch's.
In MaxPool torch chooses the first of equal elements, while fedge may share among them.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper

from tests.support.onnx_runs import Arrays

F = torch.nn.functional
Attributes = dict[str, Any]
Torch = Any  # a tensor, or several


def torch_gradients(model: onnx.ModelProto, feeds: Arrays, wanted: Sequence[str]) -> list[Any]:
    """torch's counterpart of the operator's gradient from `make_models`, in float64.

    Args:
        model: the operator alone, of opset 18, with nothing omitted.
        feeds: its inputs, and "seed0", "seed1", ... for the gradients of its outputs.
        wanted: the inputs to differentiate with respect to.
    """
    values: dict[str, Torch] = {"": None}
    values |= {t.name: torch.tensor(numpy_helper.to_array(t)) for t in model.graph.initializer}
    values |= {name: torch.tensor(value) for name, value in feeds.items()}
    for name in wanted:
        values[name] = values[name].double().requires_grad_()
    for node in model.graph.node:
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        found = OPERATORS[node.op_type](attributes, *[values[name] for name in node.input])
        several = isinstance(found, tuple | list)
        values.update(zip(node.output, found if several else [found], strict=False))
    outputs = [values[info.name] for info in model.graph.output]
    seeds = [torch.tensor(feeds[f"seed{i}"]) for i in range(len(outputs))]
    inputs = [values[name] for name in wanted]
    found = torch.autograd.grad(outputs, inputs, seeds, allow_unused=True)
    return [
        np.zeros(x.shape) if d is None else d.numpy() for x, d in zip(inputs, found, strict=True)
    ]


def _ints(x: Torch) -> list[int]:
    return [int(value) for value in x.reshape(-1)]


def _clip(_: Attributes, x: Torch, low: Torch = None, high: Torch = None) -> Torch:
    if low is not None and high is not None and (low, high) == (0, 6):
        return F.relu6(x)
    return x if low is None and high is None else torch.clamp(x, low, high)


def _gemm(a: Attributes, x: Torch, y: Torch, c: Torch = None) -> Torch:
    x, y = (x.T if a.get("transA") else x), (y.T if a.get("transB") else y)
    product = a.get("alpha", 1.0) * (x @ y)
    return product if c is None else product + a.get("beta", 1.0) * c


def _padded(a: Attributes, x: Torch, value: float) -> Torch:
    rank = x.dim() - 2
    pads = a.get("pads", [0] * 2 * rank)
    sides = [side for i in reversed(range(rank)) for side in (pads[i], pads[i + rank])]
    return F.pad(x, sides, value=value)


def _conv(a: Attributes, x: Torch, w: Torch, b: Torch = None) -> Torch:
    run = [F.conv1d, F.conv2d, F.conv3d][x.dim() - 3]
    strides, dilations = a.get("strides", 1), a.get("dilations", 1)
    return run(_padded(a, x, 0.0), w, b, strides, 0, dilations, a.get("group", 1))


def _max_pool(a: Attributes, x: Torch) -> Torch:
    run = [F.max_pool1d, F.max_pool2d, F.max_pool3d][x.dim() - 3]
    ones = [1] * (x.dim() - 2)
    strides, dilations = a.get("strides", ones), a.get("dilations", ones)
    ceil = bool(a.get("ceil_mode", 0))
    return run(_padded(a, x, -torch.inf), a["kernel_shape"], strides, 0, dilations, ceil)


def _average_pool(a: Attributes, x: Torch) -> Torch:
    """The mean over windows, excluding padding unless padding counts."""
    run = [F.avg_pool1d, F.avg_pool2d][x.dim() - 3]
    strides = a.get("strides", [1] * (x.dim() - 2))
    mean = run(_padded(a, x, 0.0), a["kernel_shape"], strides)
    if a.get("count_include_pad", 0):
        return mean
    return mean / run(_padded(a, torch.ones_like(x), 0.0), a["kernel_shape"], strides)


def _batch_norm(a: Attributes, x: Torch, s: Torch, b: Torch, m: Torch, v: Torch) -> Torch:
    return F.batch_norm(x, m.to(x), v.to(x), s, b, eps=a.get("epsilon", 1e-5))


def _layer_norm(a: Attributes, x: Torch, s: Torch, b: Torch = None) -> Torch:
    shape = x.shape[a.get("axis", -1) % x.dim() :]
    return F.layer_norm(x, shape, s, b, a.get("epsilon", 1e-5))


def _reshape(_: Attributes, x: Torch, target: Torch) -> Torch:
    return x.reshape([size or x.shape[i] for i, size in enumerate(_ints(target))])


def _slice(_: Attributes, x: Torch, starts: Torch, ends: Torch, *rest: Torch) -> Torch:
    bounds = [_ints(v) for v in (starts, ends, *rest)]
    axes = bounds[2] if len(bounds) > 2 else range(len(bounds[0]))
    steps = bounds[3] if len(bounds) > 3 else [1] * len(bounds[0])
    for start, end, axis, step in zip(bounds[0], bounds[1], axes, steps, strict=True):
        stop = None if step < 0 and end < -(2**30) else end
        picked = range(x.shape[axis])[slice(start, stop, step)]
        x = x.index_select(axis, torch.tensor(list(picked), dtype=torch.int64))
    return x


def _pad(a: Attributes, x: Torch, pads: Torch, value: Torch = None, axes: Torch = None) -> Torch:
    given = range(x.dim()) if axes is None else [axis % x.dim() for axis in _ints(axes)]
    sides = [0] * 2 * x.dim()
    for i, axis in enumerate(given):
        sides[2 * (x.dim() - 1 - axis)] = _ints(pads)[i]
        sides[2 * (x.dim() - 1 - axis) + 1] = _ints(pads)[i + len(given)]
    return F.pad(x, sides, value=0.0 if value is None else float(value))


def _gather(a: Attributes, x: Torch, i: Torch) -> Torch:
    axis = a.get("axis", 0) % x.dim()
    picked = x.index_select(axis, i.reshape(-1) % x.shape[axis])
    return picked.reshape(*x.shape[:axis], *i.shape, *x.shape[axis + 1 :])


def _gather_elements(a: Attributes, x: Torch, i: Torch) -> Torch:
    axis = a.get("axis", 0)
    return x.gather(axis, i % x.shape[axis])


def _largest(sign: int) -> Callable[..., Torch]:
    """The largest of several tensors: amax shares among equal ones, like maximum for two."""

    def largest(_: Attributes, *xs: Torch) -> Torch:
        return sign * (sign * torch.stack(torch.broadcast_tensors(*xs))).amax(0)

    return largest


def _reduced(reduce: Callable[..., Torch]) -> Callable[..., Torch]:
    def run(a: Attributes, x: Torch, axes: Torch) -> Torch:
        return reduce(x, dim=_ints(axes), keepdim=bool(a.get("keepdims", 1)))

    return run


def _spatial(x: Torch) -> list[int]:
    return list(range(2, x.dim()))


OPERATORS: dict[str, Callable[..., Torch]] = {
    "Abs": lambda _, x: x.abs(),
    "Add": lambda _, x, y: x + y,
    "AveragePool": _average_pool,
    "BatchNormalization": _batch_norm,
    "Cast": lambda a, x: x.to(torch.float32 if a["to"] == 1 else torch.float64),
    "Clip": _clip,
    "Concat": lambda a, *xs: torch.cat(xs, a["axis"]),
    "Conv": _conv,
    "Cos": lambda _, x: x.cos(),
    "Div": lambda _, x, y: x / y,
    "Dropout": lambda _, x, *rest: x,
    "Elu": lambda a, x: F.elu(x, a.get("alpha", 1.0)),
    "Erf": lambda _, x: x.erf(),
    "Exp": lambda _, x: x.exp(),
    "Expand": lambda _, x, shape: torch.broadcast_tensors(x, torch.empty(_ints(shape)))[0],
    "Flatten": lambda a, x: x.reshape(
        int(np.prod(x.shape[: a.get("axis", 1) % x.dim()], dtype=int)), -1
    ),
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "Gemm": _gemm,
    "GlobalAveragePool": lambda _, x: x.mean(_spatial(x), keepdim=True),
    "GlobalMaxPool": lambda _, x: x.amax(_spatial(x), keepdim=True),
    "HardSigmoid": lambda a, x: F.hardtanh(a.get("alpha", 0.2) * x + a.get("beta", 0.5), 0.0, 1.0),
    "HardSwish": lambda _, x: F.hardswish(x),
    "Identity": lambda _, x: x.clone(),
    "LayerNormalization": _layer_norm,
    "LeakyRelu": lambda a, x: F.leaky_relu(x, a.get("alpha", 0.01)),
    "Log": lambda _, x: x.log(),
    "LogSoftmax": lambda a, x: x.log_softmax(a.get("axis", -1)),
    "MatMul": lambda _, x, y: x @ y,
    "Max": _largest(1),
    "MaxPool": _max_pool,
    "Mean": lambda _, *xs: torch.stack(torch.broadcast_tensors(*xs)).mean(0),
    "Min": _largest(-1),
    "Mul": lambda _, x, y: x * y,
    "Neg": lambda _, x: -x,
    "PRelu": lambda _, x, s: torch.where(x > 0, x, s * x),
    "Pad": _pad,
    "Pow": lambda _, x, y: x.pow(y),
    "Reciprocal": lambda _, x: x.reciprocal(),
    "ReduceL1": _reduced(lambda x, dim, keepdim: torch.linalg.vector_norm(x, 1, dim, keepdim)),
    "ReduceL2": _reduced(lambda x, dim, keepdim: torch.linalg.vector_norm(x, 2, dim, keepdim)),
    "ReduceLogSumExp": _reduced(torch.logsumexp),
    "ReduceMax": _reduced(torch.amax),
    "ReduceMean": _reduced(torch.mean),
    "ReduceMin": _reduced(torch.amin),
    "ReduceSum": _reduced(torch.sum),
    "ReduceSumSquare": _reduced(lambda x, dim, keepdim: (x * x).sum(dim, keepdim)),
    "Relu": lambda _, x: x.relu(),
    "Reshape": _reshape,
    "Selu": lambda a, x: a["gamma"] * torch.where(x > 0, x, a["alpha"] * x.expm1()),
    "Sigmoid": lambda _, x: x.sigmoid(),
    "Sin": lambda _, x: x.sin(),
    "Slice": _slice,
    "Softmax": lambda a, x: x.softmax(a.get("axis", -1)),
    "Softplus": lambda _, x: F.softplus(x),
    "Split": lambda a, x, sizes: x.split(_ints(sizes), a.get("axis", 0)),
    "Sqrt": lambda _, x: x.sqrt(),
    "Squeeze": lambda _, x, axes: x.squeeze(_ints(axes)),
    "Sub": lambda _, x, y: x - y,
    "Sum": lambda _, *xs: sum(xs),
    "Tanh": lambda _, x: x.tanh(),
    "Tile": lambda _, x, repeats: x.repeat(_ints(repeats)),
    "Transpose": lambda a, x: x.permute(a["perm"] if "perm" in a else list(range(x.dim()))[::-1]),
    "Unsqueeze": lambda _, x, axes: _unsqueezed(x, _ints(axes)),
    "Where": lambda _, c, x, y: torch.where(c, x, y),
}


def _unsqueezed(x: Torch, axes: list[int]) -> Torch:
    rank = x.dim() + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        x = x.unsqueeze(axis)
    return x
