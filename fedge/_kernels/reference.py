"""NumPy twins of the kernels: the readable definition of what each must compute."""

import numpy as np
import numpy.typing as npt

from fedge._kernels.reference_context import pack_context, scatter_add_context, unpack_context
from fedge._kernels.reference_eden import accumulate_rotated, draw_mask, fwht, quantise_rotated
from fedge._kernels.reference_levels import accumulate_dense, quantise_dense, quantise_kept
from fedge._kernels.reference_sparse import accumulate_topk, encode_topk, pack
from fedge._kernels.reference_unpack import scatter_add_stream, unpack
from fedge.types import Vector

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


def sum_of_squares(values: Vector, out: npt.NDArray[np.float64]) -> None:
    """out[0] = the sum of the squares, in float64, in an order that every machine keeps.

    Value i goes into sum i % 8, in turn; then ((0 + 4) + (2 + 6)) + ((1 + 5) + (3 + 7)).
    """
    if len(out) != 1:
        raise ValueError("out must have one entry")
    sums = [0.0] * 8
    for i, value in enumerate(values.tolist()):
        sums[i % 8] += value * value
    out[0] = ((sums[0] + sums[4]) + (sums[2] + sums[6])) + (
        (sums[1] + sums[5]) + (sums[3] + sums[7])
    )


def sgd_step(  # noqa: PLR0913, PLR0917 - the formula has eight terms
    parameters: Vector,
    gradient: Vector,
    momentum_buffer: Vector,
    anchor: Vector,
    lr: float,
    momentum: float,
    weight_decay: float,
    proximal: float,
) -> None:
    """g = gradient + weight_decay * p + proximal * (p - anchor); m = momentum * m + g; p -= lr * m.

    Updates parameters p and momentum_buffer m in place. Without momentum g takes the place of m
    and momentum_buffer may be empty; without a proximal term anchor may be empty.
    """
    n = len(parameters)
    if len(gradient) != n:
        raise ValueError("parameters and gradient must have the same length")
    if len(momentum_buffer) != n and (momentum != 0 or len(momentum_buffer) != 0):
        raise ValueError("momentum_buffer must have the length of parameters")
    if len(anchor) != n and (proximal != 0 or len(anchor) != 0):
        raise ValueError("anchor must have the length of parameters")
    step = gradient + np.float32(weight_decay) * parameters
    if np.float32(proximal) != 0:
        step = step + np.float32(proximal) * (parameters - anchor)
    if np.float32(momentum) != 0:
        step = np.float32(momentum) * momentum_buffer + step
        momentum_buffer[:] = step
    parameters -= np.float32(lr) * step


@np.errstate(over="ignore", invalid="ignore")
def robust_tile(rows: Vector, low: int, high: int, out: Vector) -> None:
    """out[j] = mean of the values of column j with ranks low to high - 1, the smallest first.

    NaN ranks above infinity, -0 below +0. The sum runs in float32 from the lowest rank to the
    highest, one rounding an addition, so every machine gets the same bits.
    """
    n, d = rows.shape
    if len(out) != d or (d > 1 and rows.strides[1] != rows.itemsize):
        raise ValueError("rows must be of adjacent values, out must have one for each column")
    if not 0 <= low < high <= n <= 2**16:
        raise ValueError("ranks must be 0 <= low < high <= n, with at most 65536 rows")
    bits = rows.view(np.int32)
    keys = np.where(np.isnan(rows), np.int32(0x7FFFFFFF), _flip(bits))
    kept = _flip(np.sort(keys, axis=0)[low:high]).view(np.float32)
    total = kept[0]
    for values in kept[1:]:
        total = total + values
    mean = total / np.float32(high - low)
    out[:] = np.where(np.isnan(mean), np.float32(np.nan), mean)


def _flip(bits: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """Bits of floats to integers of the same order, and back."""
    return bits ^ ((bits >> 31) & np.int32(0x7FFFFFFF))
