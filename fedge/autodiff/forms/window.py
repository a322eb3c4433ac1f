"""Convolution and pooling: explicit pads, no rounding up."""

from dataclasses import replace

from fedge.autodiff.forms.table import Call, canonical
from fedge.autodiff.graph import Graph, Name


@canonical("Conv", "ConvTranspose")
def convolution(g: Graph, call: Call) -> tuple[Name, ...]:
    """With explicit pads and kernel shape."""
    kernel = g.shape(call.inputs[1])[2:]
    call = _explicit_pads(g, call, kernel)
    return (g.op(call.op_type, *call.inputs, **{**call.attributes, "kernel_shape": kernel}),)


@canonical("MaxPool")
def max_pool(g: Graph, call: Call) -> tuple[Name, ...]:
    """Always with its indices: its rule may read them; if it does not, they are removed again.

    The indices are row-major; a model that reads column-major ones gets them from another node.
    """
    call = _explicit_pads(g, call, call.attributes["kernel_shape"])
    call = _rounded_down(g, call)
    found = g.ops(2, "MaxPool", *call.inputs, **call.without("storage_order"))
    if call.n_outputs == 2 and call.attributes.get("storage_order", 0):
        return found[0], g.ops(2, "MaxPool", *call.inputs, **call.attributes)[1]
    return found[: call.n_outputs]


def _rounded_down(g: Graph, call: Call) -> Call:
    """Padding at the end instead of ceil_mode: a maximum is unaffected by it.

    With ceil_mode, a window that would start beyond the image and its leading padding is left out,
    as in onnxruntime and torch; onnx's shape inference counted it before version 1.17.
    """
    if not call.attributes.get("ceil_mode", 0):
        return call
    kernel = call.attributes["kernel_shape"]
    n, ones = len(kernel), (1,) * len(kernel)
    pads = list(call.attributes.get("pads", (0,) * 2 * n))
    strides, dilations = (call.attributes.get(key, ones) for key in ("strides", "dilations"))
    for i, size in enumerate(g.shape(call.inputs[0])[2:]):
        reach, step = (kernel[i] - 1) * dilations[i] + 1, strides[i]
        n_windows = -(-(size + pads[i] + pads[n + i] - reach) // step) + 1
        if (n_windows - 1) * step >= size + pads[i]:
            n_windows -= 1
        needed = (n_windows - 1) * step + reach - size - pads[i]
        pads[n + i] = max(needed, min(pads[n + i], needed + step - 1))
        if pads[n + i] >= kernel[i]:  # onnxruntime pads by less than the kernel
            raise ValueError("has windows that reach too far beyond the image (ceil_mode = 1)")
    return replace(call, attributes={**call.without("ceil_mode"), "pads": tuple(pads)})


@canonical("AveragePool")
def average_pool(g: Graph, call: Call) -> tuple[Name, ...]:
    """With explicit pads, never rounding up, and without the dilations of opset 19."""
    if set(call.attributes.get("dilations", (1,))) != {1}:
        raise ValueError("has dilations, which opset 18 does not know")
    call = replace(call, attributes=call.without("dilations"))
    call = _explicit_pads(g, call, call.attributes["kernel_shape"])
    y = g.op("AveragePool", *call.inputs, **{**call.attributes, "ceil_mode": 0})
    if call.attributes.get("ceil_mode", 0):
        rounded_up = g.op("AveragePool", *call.inputs, **call.attributes)
        if g.shape(rounded_up) != g.shape(y):
            raise ValueError("has windows beyond the padded image (ceil_mode = 1)")
    return (y,)


def _explicit_pads(g: Graph, call: Call, kernel: tuple[int, ...]) -> Call:
    """Replaces auto_pad with pads. SAME gives ceil(size / stride) positions."""
    how = call.attributes.get("auto_pad", "NOTSET")
    rest = call.without("auto_pad")
    if how == "NOTSET":
        return replace(call, attributes=rest)
    if how == "VALID":
        return replace(call, attributes={**rest, "pads": (0,) * (2 * len(kernel))})
    if call.op_type == "ConvTranspose":
        raise ValueError(f"has auto_pad {how}; give pads instead")
    ones = (1,) * len(kernel)
    strides, dilations = rest.get("strides", ones), rest.get("dilations", ones)
    totals = [
        max((-(-n // s) - 1) * s + (k - 1) * d + 1 - n, 0)
        for n, k, s, d in zip(g.shape(call.inputs[0])[2:], kernel, strides, dilations, strict=True)
    ]
    small = [total // 2 for total in totals]
    large = [total - half for total, half in zip(totals, small, strict=True)]
    pads = small + large if how == "SAME_UPPER" else large + small
    return replace(call, attributes={**rest, "pads": tuple(pads)})
