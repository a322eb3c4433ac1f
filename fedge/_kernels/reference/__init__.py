"""NumPy twins of the kernels, a module for each: what every kernel must compute, plainly said."""

from fedge._kernels.reference.context import (
    fill_range_context,
    pack_context,
    scatter_add_context,
    unpack_context,
)
from fedge._kernels.reference.dense import (
    accumulate_dense,
    fill_range_dense,
    quantise_dense,
    sum_of_squares,
)
from fedge._kernels.reference.eden import (
    accumulate_rotated,
    fill_range_rotated,
    fwht,
    quantise_rotated,
)
from fedge._kernels.reference.encoding import encode_topk
from fedge._kernels.reference.mask import draw_mask, draw_mask_range
from fedge._kernels.reference.optimizer import sgd_step
from fedge._kernels.reference.packing import pack
from fedge._kernels.reference.quantising import quantise_kept
from fedge._kernels.reference.robust import robust_tile
from fedge._kernels.reference.topk import accumulate_topk
from fedge._kernels.reference.unpacking import fill_range_stream, scatter_add_stream, unpack

__all__ = [
    "accumulate_dense",
    "accumulate_rotated",
    "accumulate_topk",
    "draw_mask",
    "draw_mask_range",
    "encode_topk",
    "fill_range_context",
    "fill_range_dense",
    "fill_range_rotated",
    "fill_range_stream",
    "fwht",
    "pack",
    "pack_context",
    "quantise_dense",
    "quantise_kept",
    "quantise_rotated",
    "robust_tile",
    "scatter_add_context",
    "scatter_add_stream",
    "sgd_step",
    "sum_of_squares",
    "unpack",
    "unpack_context",
]
