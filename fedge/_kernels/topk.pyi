import numpy as np
import numpy.typing as npt

from fedge.types import Vector

def accumulate_topk(
    residual: Vector,
    delta: Vector,
    k: int,
    work: npt.NDArray[np.uint32],
    indices: npt.NDArray[np.uint32],
) -> int: ...
