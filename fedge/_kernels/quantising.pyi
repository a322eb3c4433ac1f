import numpy as np
import numpy.typing as npt

from fedge.types import Vector

def quantise_kept(
    residual: Vector,
    indices: npt.NDArray[np.uint32],
    bits: int,
    seed: int | None,
    levels: npt.NDArray[np.int8],
    scales: npt.NDArray[np.uint16],
) -> None: ...
