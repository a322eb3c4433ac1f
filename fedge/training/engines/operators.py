"""Operators in NumPy, replacing those of onnx's reference that are not good enough to train with.

Most of those loop over elements in Python. Some fail where onnxruntime does not: the reference
refuses negative pads, gathers along at most 64 elements, gets grouped transposed convolutions
wrong, and overflows in LogSoftmax and Softplus of large numbers.

Each takes an operator's inputs and attributes and returns its outputs, or None for a form that none
of our training graphs has, which the reference then computes itself. docs/engines.md says what a
step costs with and without them.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from fedge.training.engines.windows import Windows
from fedge.types import Array

Outputs = tuple[Array, ...]


def conv(x: Array, w: Array, b: Array | None = None, **attributes: Any) -> Outputs | None:
    """y = x * w + b: unfolded, one matrix product per group.

    Shapes: x (n, c, ...), w (m, c / group, ...), b (m,), y (n, m, ...).
    """
    if _pads_by_itself(attributes):
        return None
    windows = _windows(x.shape[2:], w.shape[2:], attributes)
    group, n, m = attributes["group"], len(x), len(w)
    columns = windows.unfold(x).reshape(n, group, w[0].size, -1)
    y = np.matmul(w.reshape(group, m // group, -1), columns).reshape(n, m, *windows.positions)
    if b is not None:
        y += b.reshape(m, *[1] * len(windows.kernel))
    return (y,)


def conv_transpose(x: Array, w: Array, b: Array | None = None, **attributes: Any) -> Outputs | None:
    """The adjoint of `conv` in x.

    Shapes: x (n, c, ...), w (c, m / group, ...), b (m,), y (n, m, ...).
    """
    if _pads_by_itself(attributes) or attributes.get("output_shape"):
        return None
    group, (n, c), m = attributes["group"], x.shape[:2], w.shape[1] * attributes["group"]
    size = _transposed_size(x.shape[2:], w.shape[2:], attributes)
    windows = _windows(size, w.shape[2:], attributes)
    if windows.positions != x.shape[2:]:
        return None  # output padding of a whole stride: no convolution has that size
    rows = x.reshape(n, group, c // group, -1)
    columns = np.matmul(w.reshape(group, c // group, -1).swapaxes(1, 2), rows)
    y = windows.fold(columns.reshape(n, m, -1, *x.shape[2:]), size)
    return (y if b is None else y + b.reshape(m, *[1] * len(size)),)


def max_pool(x: Array, *, n_outputs: int, **attributes: Any) -> Outputs | None:
    """y = max of x over windows, and its index into the flattened x; the first one if they tie.

    Shapes: x (n, c, ...), y and indices (n, c, ...).
    """
    if _pads_by_itself(attributes) or attributes["storage_order"]:
        return None
    windows = _windows(x.shape[2:], attributes["kernel_shape"], attributes)
    first, *others = windows.taps(windows.padded(x, -np.inf))
    y, chosen = first.copy(), np.zeros(first.shape, np.int64)
    for i, tap in enumerate(others, start=1):
        if n_outputs > 1:
            chosen[tap > y] = i
        np.maximum(y, tap, out=y)
    return (y,) if n_outputs == 1 else (y, _flat_indices(windows, chosen, x.shape))


def average_pool(x: Array, **attributes: Any) -> Outputs | None:
    """y = mean of x over windows. Shapes: x (n, c, ...), y (n, c, ...)."""
    if _pads_by_itself(attributes):
        return None
    windows = _windows(x.shape[2:], attributes["kernel_shape"], attributes)
    counts = _total(windows.taps(_counted(windows, x, attributes)))
    return (_total(windows.taps(windows.padded(x))) / counts,)


def resize(x: Array, *others: Array | None, **attributes: Any) -> Outputs | None:
    """Nearest neighbour by whole factors: each element repeated."""
    scales = others[1] if len(others) > 1 else None
    asked = [attributes.get(name) for name in _REPEATED]
    if scales is None or asked != list(_REPEATED.values()) or (scales != scales.round()).any():
        return None
    for axis, factor in enumerate(scales.astype(int)):
        if factor != 1:
            x = np.repeat(x, factor, axis=axis)
    return (x,)


def scatter_elements(data: Array, indices: Array, updates: Array, **attributes: Any) -> Any:
    """y = data, with y[k[i, j], j] += updates[i, j] along an axis, in order."""
    if attributes.get("reduction") != "add":
        return None
    axis = attributes["axis"] % data.ndim
    size = data.shape[axis]
    if ((indices < -size) | (indices >= size)).any():
        raise IndexError(f"an index to scatter to is outside {-size} to {size - 1}")
    places = list(np.ogrid[tuple(map(slice, indices.shape))])
    places[axis] = indices % size
    flat = np.ravel_multi_index(np.broadcast_arrays(*places), data.shape)
    y = data.copy()
    np.add.at(y.reshape(-1), flat.reshape(-1), updates.reshape(-1))  # one axis: its fast path
    return (y,)


def gather_elements(x: Array, indices: Array, **attributes: Any) -> Outputs:
    """y[i, j] = x[k[i, j], j], along an axis of any length; the reference stops at 64."""
    return (np.take_along_axis(x, indices, axis=attributes["axis"]),)


def log_softmax(x: Array, **attributes: Any) -> Outputs:
    """y = x - ln sum e^x along an axis; finite where the reference takes the logarithm of 0."""
    axis = attributes["axis"]
    y = x - x.max(axis=axis, keepdims=True)
    y -= np.log(np.exp(y).sum(axis=axis, keepdims=True))
    return (y,)


def softplus(x: Array, **_: Any) -> Outputs:
    """y = ln(1 + e^x), by an exponential that never overflows."""
    return (np.logaddexp(x.dtype.type(0), x),)


def sigmoid(x: Array, **_: Any) -> Outputs:
    """y = 1 / (1 + e^-x), by an exponential that never overflows."""
    e = np.exp(-np.abs(x))
    return (np.where(x >= 0, 1, e) / (1 + e),)


def pad(
    x: Array,
    pads: Array,
    value: Array | None = None,
    axes: Array | None = None,
    **attributes: Any,
) -> Outputs | None:
    """y = x with constants around it, or cropped where a pad is negative, which np.pad refuses."""
    if attributes["mode"] != "constant":
        return None
    where = np.arange(x.ndim) if axes is None else axes % x.ndim
    sides = np.zeros((x.ndim, 2), np.int64)
    sides[where] = pads.reshape(2, -1).T
    y = np.full(x.shape + sides.sum(axis=1), 0 if value is None else value, x.dtype)
    y[_inner(sides, y.shape)] = x[_inner(-sides, x.shape)]
    return (y,)


REPLACED: Mapping[str, Callable[..., Outputs | None]] = {
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "MaxPool": max_pool,
    "AveragePool": average_pool,
    "Resize": resize,
    "ScatterElements": scatter_elements,
    "GatherElements": gather_elements,
    "LogSoftmax": log_softmax,
    "Softplus": softplus,
    "Sigmoid": sigmoid,
    "Pad": pad,
}

_REPEATED = {
    "mode": "nearest",
    "coordinate_transformation_mode": "asymmetric",
    "nearest_mode": "floor",
}


def _inner(sides: Array, shape: Sequence[int]) -> tuple[slice, ...]:
    """All but so many elements at either end of each axis; a negative number counts as 0."""
    return tuple(
        slice(max(before, 0), size - max(after, 0))
        for (before, after), size in zip(sides.tolist(), shape, strict=True)
    )


def _pads_by_itself(attributes: Mapping[str, Any]) -> bool:
    return attributes.get("auto_pad") not in (None, "NOTSET")


def _windows(size: Sequence[int], kernel: Sequence[int], attributes: Mapping[str, Any]) -> Windows:
    return Windows.over(
        size,
        kernel,
        strides=attributes.get("strides"),
        dilations=attributes.get("dilations"),
        pads=attributes.get("pads"),
        ceil=bool(attributes.get("ceil_mode")),
    )


def _transposed_size(
    size: Sequence[int], kernel: Sequence[int], attributes: Mapping[str, Any]
) -> list[int]:
    """Sizes of the spatial axes that a convolution with these attributes reduces to `size`."""
    rank = len(size)
    strides = attributes.get("strides") or [1] * rank
    dilations = attributes.get("dilations") or [1] * rank
    pads = attributes.get("pads") or [0] * (2 * rank)
    more = attributes.get("output_padding") or [0] * rank
    return [
        (size[i] - 1) * strides[i] + (kernel[i] - 1) * dilations[i] + 1
        + more[i] - pads[i] - pads[rank + i]
        for i in range(rank)
    ]  # fmt: skip


def _flat_indices(windows: Windows, chosen: Array, shape: Sequence[int]) -> Array:
    """From the kernel element chosen at each position to that element's index in x."""
    places = list(np.ogrid[tuple(map(slice, chosen.shape))])
    for i, tap in enumerate(np.unravel_index(chosen, windows.kernel)):
        start = places[2 + i] * windows.strides[i] - windows.before[i]
        places[2 + i] = start + tap * windows.dilations[i]
    # If all are NaN the choice may fall in the padding; any element will do for that gradient.
    flat = np.ravel_multi_index(np.broadcast_arrays(*places), shape, mode="clip")
    return flat.astype(np.int64)  # on a 32-bit machine it is int32


def _total(parts: Iterator[Array]) -> Array:
    total = next(parts).copy()
    for part in parts:
        total += part
    return total


def _counted(windows: Windows, x: Array, attributes: Mapping[str, Any]) -> Array:
    """1 for what counts in a mean, else 0, padding included; shape (1, 1, ..)."""
    size, rank = x.shape[2:], len(windows.kernel)
    if not attributes["count_include_pad"]:
        return windows.padded(np.ones((1, 1, *size), x.dtype))
    pads = attributes.get("pads") or [0] * (2 * rank)
    full = [size[i] + pads[i] + windows.after[i] for i in range(rank)]
    counted = np.zeros((1, 1, *full), x.dtype)
    counted[:, :, *(slice(size[i] + pads[i] + pads[rank + i]) for i in range(rank))] = 1
    return counted
