import numpy as np
import numpy.typing as npt

from fedge.types import Vector

def draw_mask(
    n_params: int, seed: int, indices: npt.NDArray[np.uint32], values: Vector
) -> None: ...
def draw_mask_range(
    n_params: int,
    seed: int,
    k: int,
    first: int,
    indices: npt.NDArray[np.uint32],
    values: Vector,
) -> None: ...
