"""The bound on norms, with names: who of a cohort is counted, how much, and what is said of it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fedge.strategies import NormBound, bound_norms
from fedge.strategies.bound import LARGEST_NORM
from fedge.types import DeviceId

_MOST_NAMES = 50  # in an event; the counts beside them are of all


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What of a round's updates goes into the model; three lists of one length, in device order.

    Attributes:
        devices: without those whose update was dropped.
        n_examples: what each one weighs.
        shares: of its delta, above 0 and at most 1.
        told: fields of the round's event.
    """

    devices: list[DeviceId]
    n_examples: list[int]
    shares: list[float]
    told: dict[str, Any]


def bound_cohort(
    cohort: Sequence[tuple[DeviceId, int]],
    norms: Sequence[float],
    factor: float | None,
    earlier: Sequence[float],
) -> Counted:
    """Apply `bound_norms` to a cohort of devices and their numbers of examples."""
    bounded = bound_norms(norms, factor, earlier)
    kept = [
        (device, n, share)
        for (device, n), share in zip(cohort, bounded.shares, strict=True)
        if share
    ]
    return Counted(
        devices=[device for device, _, _ in kept],
        n_examples=[n for _, n, _ in kept],
        shares=[share for _, _, share in kept],
        told=_told([device for device, _ in cohort], norms, bounded),
    )


def bound_fields(
    *,
    dropped: Sequence[dict[str, Any]] = (),
    clipped: Sequence[dict[str, Any]] = (),
    median: float | None = None,
    bound: float | None = None,
) -> dict[str, Any]:
    """What a round's event says of the bound; as given here where nothing was bounded."""
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
