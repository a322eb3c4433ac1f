"""Compiled inner loops. Each has a NumPy twin of the same name in `reference`."""

from fedge._kernels._context import pack_context, scatter_add_context, unpack_context
from fedge._kernels._dense import accumulate_dense, quantise_dense, sum_of_squares
from fedge._kernels._eden import accumulate_rotated, fwht, quantise_rotated
from fedge._kernels._encode import encode_topk
from fedge._kernels._mask import draw_mask
from fedge._kernels._optimizer import sgd_step
from fedge._kernels._pack import pack
from fedge._kernels._quantise import quantise_kept
from fedge._kernels._robust import robust_tile
from fedge._kernels._topk import accumulate_topk
from fedge._kernels._unpack import scatter_add_stream, unpack

__all__ = [
    "accumulate_dense",
    "accumulate_rotated",
    "accumulate_topk",
    "draw_mask",
    "encode_topk",
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
