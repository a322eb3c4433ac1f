"""The norm bound: the cohort decides how far a single update may move the model."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

# Its square, and those of means of it, fit easily into float32, so no strategy overflows.
LARGEST_NORM = 1e18
DROPPED_ABOVE = 10.0  # times the bound
FEW = 3  # smaller cohorts have no majority of their own
EARLIER = 3  # rounds whose medians count in that case

N = TypeVar("N", int, float)


@dataclass(frozen=True, slots=True, kw_only=True)
class NormBound:
    """What is left of each update of a cohort.

    Attributes:
        shares: one per update: 1 keeps all of it, 0 drops it, and anything between shortens it.
        bound: the largest norm that is left unchanged; inf if there is no bound.
        median: lower median of the counted norms, without zeros; None if there are none.
    """

    shares: tuple[float, ...]
    bound: float
    median: float | None


def bound_norms(
    norms: Sequence[float], factor: float | None, earlier: Sequence[float] = ()
) -> NormBound:
    """Shorten updates longer than `factor` times the cohort's median norm; drop absurd ones.

    The median is the lower one; each update has one vote, however many examples it claims, and
    updates of zeros have none. In a cohort of fewer than three, the median of each earlier round
    also has a vote. An update ten times longer than the bound is not counted at all, nor is one
    longer than `LARGEST_NORM`, whatever the factor.

    Args:
        norms: of the cohort's updates, none negative; NaN and inf are dropped.
        factor: at least 1; None for no bound except `LARGEST_NORM`.
        earlier: medians of earlier rounds, newest last.

    Source:
        Sun et al., 2019, arXiv:1911.07963 (norm thresholding), with the cohort's median as
        the threshold.
    """
    votes = _votes(norms)
    if len(votes) < FEW:
        votes = [*votes, *(list(earlier)[-EARLIER:])]
    bound = math.inf if factor is None or not votes else factor * lower_median(votes)
    shares = tuple(_share(norm, bound) for norm in norms)
    counted = _votes([norm * share for norm, share in zip(norms, shares, strict=True) if share])
    return NormBound(shares=shares, bound=bound, median=lower_median(counted) if counted else None)


def _share(norm: float, bound: float) -> float:
    if not norm <= min(LARGEST_NORM, DROPPED_ABOVE * bound):  # NaN is not
        return 0.0
    return 1.0 if norm <= bound else bound / norm


def _votes(norms: Sequence[float]) -> list[float]:
    return [norm for norm in norms if norm > 0]


def lower_median(values: Sequence[N]) -> N:
    """Of two middle values, the smaller one."""
    return sorted(values)[(len(values) - 1) // 2]
