import numpy as np
import numpy.typing as npt

from fedge.types import Vector

def accumulate_blockmax(residual: Vector, delta: Vector, maxima: npt.NDArray[np.uint32]) -> int: ...
def select_topk(
    values: Vector,
    maxima: npt.NDArray[np.uint32],
    k: int,
    work: npt.NDArray[np.uint32],
    indices: npt.NDArray[np.uint32],
) -> int: ...
def accumulate_topk(
    residual: Vector,
    delta: Vector,
    k: int,
    work: npt.NDArray[np.uint32],
    indices: npt.NDArray[np.uint32],
) -> int: ...
