import numpy as np
import numpy.typing as npt

from fedge.types import Vector

def quantise_dense(values: Vector, seed: int, out: npt.NDArray[np.uint8]) -> bool: ...
def accumulate_dense(body: bytes | memoryview, bits: int, weight: float, out: Vector) -> bool: ...
