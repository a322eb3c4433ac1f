"""Compiled inner loops: `topk.pyx` has its NumPy twins, of the same names, in `reference/topk.py`.

No module has the name of a kernel, which would hide it here: `pack` is in `packing`.
"""

from fedge._kernels.context import (
    fill_range_context,
    pack_context,
    scatter_add_context,
    unpack_context,
)
from fedge._kernels.dense import (
    accumulate_dense,
    fill_range_dense,
    quantise_dense,
    sum_of_squares,
)
from fedge._kernels.eden import (
    accumulate_rotated,
    fill_range_rotated,
    fwht,
    quantise_rotated,
)
from fedge._kernels.encoding import encode_topk
from fedge._kernels.mask import draw_mask, draw_mask_range
from fedge._kernels.optimizer import sgd_step
from fedge._kernels.packing import pack
from fedge._kernels.quantising import quantise_kept
from fedge._kernels.robust import robust_tile
from fedge._kernels.topk import accumulate_topk
from fedge._kernels.unpacking import fill_range_stream, scatter_add_stream, unpack

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
