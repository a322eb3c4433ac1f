import numpy as np
import numpy.typing as npt

from fedge.types import Vector

def unpack(
    body: bytes | memoryview,
    bits: int,
    n_params: int,
    indices: npt.NDArray[np.uint32],
    values: Vector,
) -> bool: ...
def scatter_add_stream(
    body: bytes | memoryview, bits: int, n_kept: int, weight: float, out: Vector
) -> bool: ...
def fill_range_stream(
    body: bytes | memoryview, bits: int, n_kept: int, n_params: int, start: int, out: Vector
) -> bool: ...
