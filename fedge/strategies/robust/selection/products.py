"""Products of small matrices, added in an order that every machine keeps.

BLAS adds as suits the machine, and a last bit may decide whom a rule keeps.
"""

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]


def times(matrix: Numbers, vector: Numbers) -> Numbers:
    """matrix @ vector for a symmetric matrix, whose rows it adds up from the first to the last."""
    total: Numbers = np.add.reduce(matrix * vector[:, None], axis=0)
    return total


def squared(matrices: Numbers) -> Numbers:
    """Each (n, n) matrix of the last two axes times itself; all are symmetric."""
    pairs = matrices[..., :, :, None] * matrices[..., :, None, :]
    total: Numbers = np.add.reduce(pairs, axis=-3)
    return total
