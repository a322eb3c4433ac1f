"""What a payload decodes to: some values of a delta, or all of them."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fedge import _kernels
from fedge.types import Vector


@dataclass(frozen=True, slots=True)
class Sparse:
    """The kept values of a delta; the others are zero."""

    indices: npt.NDArray[np.uint32]  # increasing, below n_params
    values: Vector  # float32, finite, one for each index
    n_params: int

    @property
    def norm(self) -> float:
        """Length of the delta, the same bits on every machine; not finite if a value is not."""
        return _norm(self.values)

    def to_dense(self) -> Vector:
        """float32, shape (n_params,). A payload of a few bytes may claim 2**29 parameters."""
        dense = np.zeros(self.n_params, np.float32)
        dense[self.indices] = self.values
        return dense


@dataclass(frozen=True, slots=True)
class Dense:
    """Every value of a delta."""

    values: Vector  # float32, finite, shape (n_params,)

    @property
    def n_params(self) -> int:
        """How many values the delta has."""
        return self.values.size

    @property
    def norm(self) -> float:
        """Length of the delta, the same bits on every machine; not finite if a value is not."""
        return _norm(self.values)

    def to_dense(self) -> Vector:
        """The values themselves, not a copy."""
        return self.values


def _norm(values: Vector) -> float:
    total = np.empty(1)
    _kernels.sum_of_squares(values, total)
    return math.sqrt(float(total[0]))
