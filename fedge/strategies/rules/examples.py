"""The weight cap: the cohort decides how many examples a single update may count for."""

from collections.abc import Sequence
from dataclasses import dataclass

from fedge.strategies.rules.bound import EARLIER, FEW, lower_median


@dataclass(frozen=True, slots=True, kw_only=True)
class ExamplesBound:
    """How many examples each update of a cohort counts for.

    Attributes:
        counts: one per update, at most what it claims.
        bound: the largest count that is taken as it is; None if there is no bound.
        median: lower median of `counts`; None if there are none.
    """

    counts: tuple[int, ...]
    bound: int | None
    median: int | None


def bound_examples(
    claimed: Sequence[int], factor: float | None, earlier: Sequence[int] = ()
) -> ExamplesBound:
    """Let no update count for more than `factor` times the cohort's median number of examples.

    Nobody but the device can count its examples, so a claim is only worth what others claim. The
    median is the lower one, and each update has one vote. In a cohort of fewer than three, the
    median of each of the last three rounds also has a vote, as it has with norms.

    Args:
        claimed: examples of the cohort's updates, each at least 1.
        factor: at least 1; None for no bound.
        earlier: medians of earlier rounds, newest last.
    """
    votes = list(claimed)
    if len(votes) < FEW:
        votes += list(earlier)[-EARLIER:]
    bound = None if factor is None or not votes else int(factor * lower_median(votes))
    counts = tuple(claimed if bound is None else (min(one, bound) for one in claimed))
    return ExamplesBound(
        counts=counts, bound=bound, median=lower_median(counts) if counts else None
    )
