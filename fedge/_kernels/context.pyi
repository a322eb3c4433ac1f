import numpy as np
import numpy.typing as npt

from fedge.types import Vector

def pack_context(
    indices: npt.NDArray[np.uint32],
    codes: npt.NDArray[np.uint8],
    scales: npt.NDArray[np.uint16],
    bits: int,
    n_params: int,
    out: npt.NDArray[np.uint8],
) -> int: ...
def unpack_context(
    body: bytes | memoryview,
    bits: int,
    n_params: int,
    indices: npt.NDArray[np.uint32],
    values: Vector,
) -> bool: ...
def scatter_add_context(
    body: bytes | memoryview, bits: int, n_kept: int, weight: float, out: Vector
) -> bool: ...
def fill_range_context(
    body: bytes | memoryview, bits: int, n_kept: int, n_params: int, start: int, out: Vector
) -> bool: ...
