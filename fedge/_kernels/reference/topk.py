"""NumPy twin of the kernel that selects the largest magnitudes."""

import numpy as np
import numpy.typing as npt

from fedge.types import Vector

U32 = npt.NDArray[np.uint32]


@np.errstate(over="ignore", invalid="ignore")
def accumulate_topk(residual: Vector, delta: Vector, k: int, work: U32, indices: U32) -> int:
    """residual += delta; indices[:n] = the increasing indices of its k largest magnitudes.

    Returns:
        How many indices were written: k, or fewer if fewer sums are not zero. -1, with residual
        as it was up to rounding, if a sum is not finite.
    """
    if len(delta) != len(residual):
        raise ValueError("delta must have the length of residual")
    if k < 0 or len(indices) < k or len(work) // 3 < k + 2048:
        raise ValueError("indices must have room for k, work three times for k + 2048")
    sums = residual + delta
    if not np.isfinite(sums).all():
        return -1
    residual[:] = sums
    return _write_largest(residual, k, indices)


def _write_largest(values: Vector, k: int, indices: U32) -> int:
    largest = np.argsort(-np.abs(values), kind="stable")[:k]
    selected = np.sort(largest[values[largest] != 0])
    indices[: selected.size] = selected
    return selected.size
