"""A bound on norms: what one update may move the model by is measured by its cohort."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

# Squares of it, and of means of it, are far inside of float32: no strategy leaves its range.
LARGEST_NORM = 1e18
DROPPED_ABOVE = 10.0  # times the bound
FEW = 3  # smaller cohorts have no majority of their own
EARLIER = 3  # rounds whose medians speak then


@dataclass(frozen=True, slots=True, kw_only=True)
class NormBound:
    """What is left of each update of a cohort.

    Attributes:
        shares: one an update: 1 is all of it, 0 is nothing, and between them it is made shorter.
        bound: the largest norm that is left as it is; inf if nothing bounds it.
        median: lower median of the norms that are counted, zeros aside; None if there are none.
    """

    shares: tuple[float, ...]
    bound: float
    median: float | None


def bound_norms(
    norms: Sequence[float], factor: float | None, earlier: Sequence[float] = ()
) -> NormBound:
    """Shorten updates longer than `factor` times the cohort's median norm; drop absurd ones.

    The median is the lower one, each update having one voice however many examples it
    claims; updates of zeros have none. In a cohort of fewer than three the medians of earlier
    rounds have a voice each too. An update ten times longer than the bound is not counted at
    all, and none is that is longer than `LARGEST_NORM`, whatever the factor.

    Args:
        norms: of the cohort's updates, none negative; NaN and inf are dropped.
        factor: at least 1; None for no bound but `LARGEST_NORM`.
        earlier: medians of earlier rounds, newest last.

    Source:
        Sun et al., 2019, arXiv:1911.07963 (norm thresholding), with the cohort's median for a
        threshold.
    """
    voices = _voices(norms)
    if len(voices) < FEW:
        voices = [*voices, *(list(earlier)[-EARLIER:])]
    bound = math.inf if factor is None or not voices else factor * _median(voices)
    shares = tuple(_share(norm, bound) for norm in norms)
    counted = _voices([norm * share for norm, share in zip(norms, shares, strict=True) if share])
    return NormBound(shares=shares, bound=bound, median=_median(counted) if counted else None)


def _share(norm: float, bound: float) -> float:
    if not norm <= min(LARGEST_NORM, DROPPED_ABOVE * bound):  # NaN is not
        return 0.0
    return 1.0 if norm <= bound else bound / norm


def _voices(norms: Sequence[float]) -> list[float]:
    return [norm for norm in norms if norm > 0]


def _median(values: Sequence[float]) -> float:
    """The lower one: of two that differ it believes the smaller."""
    return sorted(values)[(len(values) - 1) // 2]
