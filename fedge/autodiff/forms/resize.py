"""Operators that resize images."""

from typing import Any

import numpy as np

from fedge.autodiff.forms.table import Call, canonical
from fedge.autodiff.graph import Graph, Name


@canonical("Upsample")
def upsample(g: Graph, call: Call) -> tuple[Name, ...]:
    """Resize, which replaced it in opset 10; the scales were an attribute before opset 9."""
    scales = call.input(1) or g.constant(np.asarray(call.attributes["scales"], np.float32))
    return _resized(g, call.inputs[0], scales, call.attributes.get("mode", "nearest"))


@canonical("Resize")
def resize(g: Graph, call: Call) -> tuple[Name, ...]:
    """Opset 10 had only scales, took positions as multiples of them, and rounded towards zero.

    Its nearest neighbour rounded up when shrinking; here that must hold for all axes or none.
    """
    if call.opset >= 11:
        return (g.op("Resize", *call.inputs, **call.attributes),)
    x, scales = call.inputs
    return _resized(g, x, scales, call.attributes.get("mode", "nearest"))


def _resized(g: Graph, x: Name, scales: Name, mode: str) -> tuple[Name, ...]:
    if scales not in g.constants:
        raise ValueError("has scales that depend on data")
    shrinks = bool((g.constants[scales] < 1).any())
    if mode == "nearest" and shrinks and bool((g.constants[scales] > 1).any()):
        raise ValueError("stretches one axis and shrinks another; opset 18 rounds that differently")
    how: dict[str, Any] = {
        "coordinate_transformation_mode": "asymmetric",
        "nearest_mode": "ceil" if shrinks else "floor",
        "mode": {"bilinear": "linear"}.get(mode, mode),
    }
    return (g.op("Resize", x, "", scales, **how),)


@canonical("RoiAlign")
def roi_align(g: Graph, call: Call) -> tuple[Name, ...]:
    """Before opset 16, positions were those of output_half_pixel."""
    how = {} if call.opset >= 16 else {"coordinate_transformation_mode": "output_half_pixel"}
    return (g.op("RoiAlign", *call.inputs, **{**call.attributes, **how}),)
