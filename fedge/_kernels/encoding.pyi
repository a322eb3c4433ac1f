import numpy as np
import numpy.typing as npt

from fedge.types import Vector

def encode_topk(
    residual: Vector,
    delta: Vector,
    k: int,
    bits: int,
    seed: int | None,
    out: npt.NDArray[np.uint8],
) -> tuple[int, int]: ...
