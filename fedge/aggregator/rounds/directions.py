"""The direction of a round's updates, and how far each of them turns away from it."""

import math
from collections.abc import Iterable, Sequence

import numpy as np

from fedge import codecs
from fedge.strategies import Cohort
from fedge.types import Vector

MOST = 128  # updates whose directions are added up; each is read twice more
_LEAST_NORM = 1e-30  # shorter ones have no direction in float32
_LEAST_SUM = 1e-6  # a shorter sum of others is what rounding left


def draw(n: int, seed: Sequence[int]) -> list[int]:
    """Which of n updates make up the direction: all, or `MOST` of them at random, in order."""
    if n <= MOST:
        return list(range(n))
    return sorted(np.random.default_rng(seed).choice(n, MOST, replace=False).tolist())


def direction(cohort: Cohort, norms: Sequence[float], places: Iterable[int]) -> Vector:
    """The sum of these members' deltas, each scaled to length 1: float32 (n_params,).

    So none of them weighs more than another, whatever its length and its number of examples.
    """
    weights = np.zeros(len(norms))
    for place in places:
        if norms[place] > _LEAST_NORM:
            weights[place] = 1 / norms[place]
    return cohort.deltas.weighted_sum(weights)


def cosines(
    payloads: Iterable[bytes], norms: Iterable[float], total: Vector, *, are_in_it: bool
) -> list[float | None]:
    """Of the angles between updates and the sum of all others; None where there is none.

    Args:
        payloads: of the updates, read one after another.
        norms: their lengths.
        total: the sum of updates scaled to length 1.
        are_in_it: whether these are among them: then each is taken out of the sum first.
    """
    wide = total.astype(np.float64)
    square = float(np.sum(wide * wide))
    return [
        _cosine(payload, norm, wide, square, own=float(are_in_it))
        for payload, norm in zip(payloads, norms, strict=True)
    ]


def _cosine(
    payload: bytes, norm: float, total: np.ndarray, square: float, *, own: float
) -> float | None:
    if not norm > _LEAST_NORM:
        return None
    delta = codecs.decode(payload)
    part = total[delta.indices] if isinstance(delta, codecs.Sparse) else total
    # np.sum adds in the same order on every machine, which a product of matrices does not.
    along = float(np.sum(delta.values * part)) / norm
    others = math.sqrt(max(square - 2 * own * along + own, 0.0))
    if others < _LEAST_SUM:
        return None
    return max(-1.0, min((along - own) / others, 1.0))
