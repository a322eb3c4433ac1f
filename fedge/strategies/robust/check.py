"""The check of what robust functions are given."""

import numpy as np

from fedge.types import Vector


def check_updates(updates: Vector, n_byzantine: int) -> None:
    """ValueError unless these are n > 2 * n_byzantine rows of adjacent float32 values."""
    if updates.dtype != np.float32 or updates.ndim != 2:
        raise ValueError(
            "updates must be float32 of shape (n, n_params), "
            f"not {updates.dtype} of shape {updates.shape}"
        )
    n, n_params = updates.shape
    if n_byzantine < 0 or 2 * n_byzantine >= n:
        raise ValueError(f"n_byzantine must be 0 to less than half of {n} updates: {n_byzantine}")
    if n_params > 1 and updates.strides[1] != updates.itemsize:
        raise ValueError("the values of an update must be next to each other in memory")
