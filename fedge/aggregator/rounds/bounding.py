"""The bound on norms, by device: whose update counts, how much, and how that is reported."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fedge.strategies import Cohort, NormBound, bound_norms, scale
from fedge.strategies.rules.bound import LARGEST_NORM
from fedge.types import DeviceId

_MOST_NAMES = 50  # in an event; its counts cover all devices


@dataclass(frozen=True, slots=True)
class Counted:
    """The part of a round's updates that goes into the model.

    Attributes:
        cohort: without members whose update was dropped; the others scaled to the bound.
        told: fields of the round's event.
    """

    cohort: Cohort
    told: dict[str, Any]


def bound_cohort(
    cohort: Cohort, norms: Sequence[float], factor: float | None, earlier: Sequence[float]
) -> Counted:
    """Apply `bound_norms` to the updates of a cohort, whose norms these are."""
    bounded = bound_norms(norms, factor, earlier)
    devices = [member.device for member in cohort.members]
    return Counted(scale(cohort, bounded.shares), _told(devices, norms, bounded))


def bound_fields(
    *,
    dropped: Sequence[dict[str, Any]] = (),
    clipped: Sequence[dict[str, Any]] = (),
    median: float | None = None,
    bound: float | None = None,
) -> dict[str, Any]:
    """The event's fields about the bound; the defaults say that nothing was bounded."""
    return {
        "devices_dropped": len(dropped),
        "devices_clipped": len(clipped),
        "dropped": list(dropped[:_MOST_NAMES]),
        "clipped": list(clipped[:_MOST_NAMES]),
        "norm_median": median,
        "norm_bound": bound,
    }


def _told(devices: list[DeviceId], norms: Sequence[float], bounded: NormBound) -> dict[str, Any]:
    seen = list(zip(devices, norms, bounded.shares, strict=True))
    return bound_fields(
        dropped=[
            {"device": device, "reason": _reason(norm, bounded.bound)}
            for device, norm, share in seen
            if share == 0
        ],
        clipped=[{"device": device, "norm": norm} for device, norm, share in seen if 0 < share < 1],
        median=bounded.median,
        bound=bounded.bound if math.isfinite(bounded.bound) else None,
    )


def _reason(norm: float, bound: float) -> str:
    if norm <= LARGEST_NORM:
        return f"its norm {norm:.3g} is far above the bound {bound:.3g}"
    return f"its norm {norm:.3g} is above {LARGEST_NORM:g}"
