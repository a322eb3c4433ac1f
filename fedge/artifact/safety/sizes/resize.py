"""Operators that resize images and volumes."""

import math
from collections.abc import Sequence

from fedge.artifact.safety.messages import Shape
from fedge.artifact.safety.sizes.table import Call, UnsizedError, rule


@rule("Resize")
def resize(call: Call) -> list[Shape]:
    """x scaled by factors, or to given sizes."""
    x = list(call.shape(0))
    if call.word("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise UnsizedError("its sizes are not those that it names")
    if call.word("coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize":
        raise UnsizedError("its size depends on the data it crops by")
    axes = call.axes(9, len(x)) or tuple(range(len(x)))  # an attribute, never an input
    if call.has(3):
        for axis, size in zip(axes, call.integers(3), strict=True):
            x[axis] = size
    else:
        for axis, scale in zip(axes, call.numbers(2), strict=True):
            x[axis] = math.floor(x[axis] * scale)
    return [tuple(x)]


@rule("CenterCropPad")
def center_crop_pad(call: Call) -> list[Shape]:
    """x cropped or padded to given sizes."""
    x = list(call.shape(0))
    axes = call.axes(9, len(x)) or tuple(range(len(x)))
    for axis, size in zip(axes, call.integers(1), strict=True):
        x[axis] = size
    return [tuple(x)]


@rule("GridSample")
def grid_sample(call: Call) -> list[Shape]:
    """x sampled at the positions of a grid."""
    return [(*call.shape(0)[:2], *call.shape(1)[1:-1])]


def _samples(call: Call, outputs: Sequence[Shape]) -> int:
    return math.prod(outputs[0]) * call.option("sampling_ratio", 0) ** 2


@rule("RoiAlign", work=_samples)
def roi_align(call: Call) -> list[Shape]:
    """A small image per region, each of its numbers an average of so many samples."""
    if call.option("sampling_ratio", 0) < 1:
        raise UnsizedError("its number of samples depends on data; set sampling_ratio")
    size = (call.option("output_height", 1), call.option("output_width", 1))
    return [(call.shape(1)[0], call.shape(0)[1], *size)]


@rule("MaxRoiPool")
def max_roi_pool(call: Call) -> list[Shape]:
    """The same with maxima."""
    return [(call.shape(1)[0], call.shape(0)[1], *call.options("pooled_shape", ()))]
