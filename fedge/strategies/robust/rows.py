"""The rows that a rule looks at, and how it reads them: range by range of columns."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fedge import _kernels
from fedge.strategies.robust.check import check_updates
from fedge.strategies.robust.selection.products import Numbers
from fedge.types import Vector

_TILE_BYTES = 2**21  # of the rows of one range: large enough that a call's fixed costs do not count
_PART = 1024  # columns that gram_tile adds up in float32: a tile of whole parts changes no bit


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rows:
    """The updates without those that hold NaN or infinity.

    Attributes:
        updates: float32, shape (n, n_params), all of them, one after another in memory.
        places: which of them are finite, in rising order; they are the rows of all below.
        norms: float64, their lengths.
        n_byzantine: how many of the rows may still be arbitrary.
    """

    updates: Vector
    places: npt.NDArray[np.intp]
    norms: Numbers
    n_byzantine: int

    def tiles(self) -> Iterator[tuple[int, int, Vector]]:
        """Ranges of columns from start to stop, and a copy of the rows there, until the next one.

        All copies are written to the same memory: new memory for each would take as long as the
        work on it.
        """
        n, buffer = len(self.places), np.empty(0, np.float32)
        for start, stop in ranges(n, self.updates.shape[1]):
            if buffer.size < n * (stop - start):
                buffer = np.empty(n * (stop - start), np.float32)
            tile = buffer[: n * (stop - start)].reshape(n, stop - start)
            np.take(self.updates[:, start:stop], self.places, axis=0, out=tile, mode="clip")
            yield start, stop, tile

    def weighted_sum(self, weights: Numbers) -> Vector:
        """Each row times its weight, rounded to float32, added up in order."""
        total: Vector = self.mixed(weights[None, :])[0]
        return total

    def mixed(self, mixture: Numbers) -> Vector:
        """One weighted sum for each row of the mixture: float32, shape (m, n_params)."""
        weights = np.zeros((len(mixture), len(self.updates)), np.float32)
        weights[:, self.places] = mixture
        out = np.empty((len(mixture), self.updates.shape[1]), np.float32)
        _kernels.mix_tile(weights, self.updates, out)
        return out


def finite_rows(updates: Vector, n_byzantine: int) -> Rows:
    """The rows that are finite; each of the others counts as one of the Byzantine.

    So one device with a NaN harms no rule, and the rest may have as many liars fewer. More rows
    than n_byzantine may be left out; then the rest is taken to be honest.

    Raises:
        ValueError: unless the updates are float32 of shape (n, n_params), n > 2 * n_byzantine >= 0,
            and at least one is finite.
    """
    check_updates(updates, n_byzantine)
    squares = np.zeros(len(updates))
    for place, row in enumerate(updates):
        _kernels.sum_of_squares(row, squares[place : place + 1])
    places = np.flatnonzero(np.isfinite(squares))
    if places.size == 0:
        raise ValueError(f"none of {len(updates)} updates is finite")
    n_left_out = len(updates) - places.size
    return Rows(
        updates=np.ascontiguousarray(updates),
        places=places,
        norms=np.sqrt(squares[places]),
        n_byzantine=max(0, n_byzantine - n_left_out),
    )


def ranges(n: int, n_params: int) -> Iterator[tuple[int, int]]:
    """Ranges of columns whose n rows fit into the cache."""
    width = max(1, _TILE_BYTES // (4 * n) // _PART) * _PART
    for start in range(0, n_params, width):
        yield start, min(start + width, n_params)
