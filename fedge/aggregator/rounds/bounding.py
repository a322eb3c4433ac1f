"""The bounds, by device: whose update counts, how much, and how that is reported."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fedge.strategies import Cohort, ExamplesBound, NormBound, bound_examples, bound_norms, scale
from fedge.strategies.rules.bound import LARGEST_NORM

_MOST_NAMES = 50  # in an event; its counts cover all devices


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What one update may do.

    Attributes:
        norm: longest one that counts in full, in median norms of the cohort; None for any length.
        weight: most examples that one may count for, in medians of the cohort; None for any number.
        norms: medians of earlier rounds, newest last; of use where the cohort is small.
        examples: likewise.
    """

    norm: float | None
    weight: float | None
    norms: Sequence[float] = ()
    examples: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Counted:
    """The part of a round's updates that goes into the model.

    Attributes:
        cohort: without members whose update was dropped; the others scaled to the bound, and
            their numbers of examples capped.
        cuts: of each update of the whole cohort, those of "dropped", "clipped" and "capped" that
            happened to it.
        median: of the norms that count, as clipped; None if there are none.
        told: fields of the round's event.
    """

    cohort: Cohort
    cuts: tuple[frozenset[str], ...]
    median: float | None
    told: dict[str, Any]


def bound_cohort(cohort: Cohort, norms: Sequence[float], bounds: Bounds) -> Counted:
    """Apply `bound_norms` to the updates of a cohort, whose norms these are.

    Then `bound_examples` to those that are left.
    """
    bounded = bound_norms(norms, bounds.norm, bounds.norms)
    left = scale(cohort, bounded.shares)
    claimed = [member.n_examples for member in left.members]
    weighed = bound_examples(claimed, bounds.weight, bounds.examples)
    return Counted(
        cohort=_capped(left, weighed),
        cuts=tuple(_cuts(bounded, claimed, weighed)),
        median=bounded.median,
        told=_told(cohort, norms, bounded, left, weighed),
    )


def bound_fields(
    *,
    dropped: Sequence[dict[str, Any]] = (),
    clipped: Sequence[dict[str, Any]] = (),
    capped: Sequence[dict[str, Any]] = (),
    median: float | None = None,
    bound: float | None = None,
    examples: ExamplesBound | None = None,
) -> dict[str, Any]:
    """The event's fields about the bounds; the defaults say that nothing was bounded."""
    return {
        "devices_dropped": len(dropped),
        "devices_clipped": len(clipped),
        "devices_capped": len(capped),
        "dropped": list(dropped[:_MOST_NAMES]),
        "clipped": list(clipped[:_MOST_NAMES]),
        "capped": list(capped[:_MOST_NAMES]),
        "norm_median": median,
        "norm_bound": bound,
        "examples_median": examples.median if examples else None,
        "examples_bound": examples.bound if examples else None,
    }


def _cuts(
    bounded: NormBound, claimed: Sequence[int], weighed: ExamplesBound
) -> Iterator[frozenset[str]]:
    counts = zip(claimed, weighed.counts, strict=True)
    for share in bounded.shares:
        if share == 0:
            yield frozenset({"dropped"})
            continue
        claim, count = next(counts)
        cuts = {"clipped": share < 1, "capped": count < claim}
        yield frozenset(name for name, was_cut in cuts.items() if was_cut)


def _capped(cohort: Cohort, weighed: ExamplesBound) -> Cohort:
    members = tuple(
        member if member.n_examples == count else replace(member, n_examples=count)
        for member, count in zip(cohort.members, weighed.counts, strict=True)
    )
    return replace(cohort, members=members)


def _told(
    cohort: Cohort,
    norms: Sequence[float],
    bounded: NormBound,
    left: Cohort,
    weighed: ExamplesBound,
) -> dict[str, Any]:
    devices = [member.device for member in cohort.members]
    seen = list(zip(devices, norms, bounded.shares, strict=True))
    return bound_fields(
        dropped=[
            {"device": device, "reason": _reason(norm, bounded.bound)}
            for device, norm, share in seen
            if share == 0
        ],
        clipped=[{"device": device, "norm": norm} for device, norm, share in seen if 0 < share < 1],
        capped=[
            {"device": member.device, "examples": member.n_examples}
            for member, count in zip(left.members, weighed.counts, strict=True)
            if count < member.n_examples
        ],
        median=bounded.median,
        bound=bounded.bound if math.isfinite(bounded.bound) else None,
        examples=weighed,
    )


def _reason(norm: float, bound: float) -> str:
    if norm <= LARGEST_NORM:
        return f"its norm {norm:.3g} is far above the bound {bound:.3g}"
    return f"its norm {norm:.3g} is above {LARGEST_NORM:g}"
