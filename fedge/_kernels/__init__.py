"""Compiled inner loops. Each has a NumPy twin of the same name in `reference`."""

from fedge._kernels._dense import accumulate_dense, quantise_dense
from fedge._kernels._optimizer import sgd_step
from fedge._kernels._quantise import quantise_kept
from fedge._kernels._rice import pack, scatter_add_stream, unpack
from fedge._kernels._topk import accumulate_blockmax, select_topk

__all__ = [
    "accumulate_blockmax",
    "accumulate_dense",
    "pack",
    "quantise_dense",
    "quantise_kept",
    "scatter_add_stream",
    "select_topk",
    "sgd_step",
    "unpack",
]
