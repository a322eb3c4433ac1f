"""Twin of the kernel that encodes in one call: the twins of its steps, one after the other."""

import numpy as np
import numpy.typing as npt

from fedge._kernels.reference.bits import BLOCK
from fedge._kernels.reference.packing import pack
from fedge._kernels.reference.quantising import quantise_kept
from fedge._kernels.reference.topk import accumulate_topk
from fedge.types import Vector

U8 = npt.NDArray[np.uint8]


def encode_topk(
    residual: Vector, delta: Vector, k: int, bits: int, seed: int | None, out: U8
) -> tuple[int, int]:
    """residual += delta; its k largest magnitudes go to out, what is not sent stays.

    Returns:
        How many values were kept, k or fewer, and the length of the body at the start of out.
        (-1, 0), with residual as it was up to rounding, if a sum is not finite.
    """
    if bits not in {1, 4, 8, 32}:
        raise ValueError("bits must be 1, 4, 8 or 32")
    if len(delta) != len(residual) or not 0 <= k <= len(residual):
        raise ValueError("delta must have the length of residual, k be at most that")
    if len(out) < 8 * k + 16 * -(-k // BLOCK):
        raise ValueError("out must have 8 bytes for each of k values and 16 for each 256")
    kept = np.empty(k, np.uint32)
    n_kept = accumulate_topk(residual, delta, k, np.empty(3 * (k + 2048), np.uint32), kept)
    if n_kept < 0:
        return -1, 0
    indices, scales = kept[:n_kept], np.zeros(-(-n_kept // BLOCK), np.uint16)
    if bits == 32:
        codes = residual[indices].view(np.uint8)
        residual[indices] = 0
    else:
        levels = np.empty(n_kept, np.int8)
        quantise_kept(residual, indices, bits, seed, levels, scales)
        codes = levels.view(np.uint8)
    return n_kept, pack(indices, codes, scales, bits, out)
