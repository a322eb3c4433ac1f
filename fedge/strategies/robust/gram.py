"""The Gram matrix of updates of any size: no liar can make the others lose their digits."""

from collections.abc import Iterator

import numpy as np

from fedge import _kernels
from fedge.strategies.robust.rows import Rows
from fedge.strategies.robust.selection.products import Numbers
from fedge.types import Vector

_SMALLEST, _LARGEST = -100, 120  # exponents whose inverses are float32
_PLAIN = 30  # exponents of norms whose squares need no care


def centred_gram(rows: Rows) -> Numbers:
    """Inner products of the rows less the mean of the shorter half of them.

    What all rows have in common would take digits of their differences. The mean of all would do
    worse: one row of a length of 1e9 moves it so far that nothing is left of the others. Rows that
    are longer than most are divided by a power of two, which is exact, and their products are
    multiplied by it in float64; so finite rows have finite products.

    Returns:
        float64, shape (n, n).
    """
    n = len(rows.places)
    shorter = np.argsort(rows.norms, kind="stable")[: n - n // 2]
    mean = np.zeros((1, n), np.float32)
    mean[0, shorter] = 1 / shorter.size

    def centred() -> Iterator[Vector]:
        for start, stop, tile in rows.tiles():
            centre = np.empty((1, stop - start), np.float32)
            _kernels.mix_tile(mean, tile, centre)
            yield np.subtract(tile, centre, out=tile)

    return _gram(centred(), rows.norms)


def gram_about(rows: Rows, point: Vector | None = None) -> Numbers:
    """Inner products of the rows less a point, or as they are: float64, shape (n, n)."""

    def moved() -> Iterator[Vector]:
        for start, stop, tile in rows.tiles():
            yield tile if point is None else np.subtract(tile, point[start:stop], out=tile)

    return _gram(moved(), rows.norms)


@np.errstate(over="ignore", invalid="ignore")
def _gram(tiles: Iterator[Vector], norms: Numbers) -> Numbers:
    exponents = np.frexp(np.maximum(norms, np.median(norms)))[1].clip(_SMALLEST, _LARGEST)
    shrink = np.ldexp(1.0, -exponents).astype(np.float32)[:, None]
    is_plain = not np.any(np.abs(exponents) > _PLAIN)
    total = np.zeros((len(norms), len(norms)))
    for tile in tiles:
        _kernels.gram_tile(tile if is_plain else tile * shrink, total)
    if is_plain:
        return total
    if not np.all(np.isfinite(total)):
        raise ValueError("most updates are too long for float32; expected less than 1e38")
    gram: Numbers = np.ldexp(total, exponents[:, None] + exponents[None, :])
    return gram
