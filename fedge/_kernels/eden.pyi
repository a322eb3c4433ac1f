import numpy as np
import numpy.typing as npt

from fedge.types import Vector

def fwht(values: Vector) -> None: ...
def quantise_rotated(values: Vector, seed: int, bits: int, out: npt.NDArray[np.uint8]) -> bool: ...
def accumulate_rotated(
    body: bytes | memoryview, seed: int, bits: int, weight: float, out: Vector
) -> bool: ...
