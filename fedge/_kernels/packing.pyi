import numpy as np
import numpy.typing as npt

def pack(
    indices: npt.NDArray[np.uint32],
    codes: npt.NDArray[np.uint8],
    scales: npt.NDArray[np.uint16],
    bits: int,
    out: npt.NDArray[np.uint8],
) -> int: ...
