"""A fleet's metrics from those of its devices, a few of which may be false."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import add

import numpy as np

from fedge.training.metrics.sums import Sums
from fedge.types import Array

REACH = 5.0  # how far from the median a device may be, relative to the furthest trusted one
ONE_IN = 4  # one device in so many may be wrong, and always at least one
FEW = 3  # fewer devices have no majority
SHARES = (0.1, 0.5, 0.9)  # of the devices below a quantile
_TAIL = 10  # the worst tenth

# What is known of each device, as the mean over its examples, and whether more is better.
_MEANS: dict[str, tuple[Callable[[Sums], float | None], bool]] = {
    "loss": (lambda one: one.mean_loss, False),
    "accuracy": (lambda one: one.accuracy, True),
    "mse": (lambda one: None if one.squared is None else one.squared / one.n_answers, False),
    "mae": (lambda one: one.mae, False),
}


@dataclass(frozen=True, slots=True, eq=False)
class Fleet:
    """Metrics over all devices.

    Attributes:
        n_devices: how many there are.
        total: the sums over their examples, within the bounds.
        quantiles: by metric, what 10, 50 and 90 % of the devices are below; between two devices,
            on the line that joins them. Each device counts once.
        worst: by metric, the mean over the worst tenth of the devices, rounded up.
        bounded: the indices of devices that count for less than they claim.
    """

    n_devices: int
    total: Sums
    quantiles: dict[str, tuple[float, ...]]
    worst: dict[str, float]
    bounded: tuple[int, ...]


def bounds(n_examples: Sequence[float], heaviest: float | None) -> list[float]:
    """The share of each device's examples that counts: up to so many medians of all devices."""
    if heaviest is None or not n_examples:
        return [1.0] * len(n_examples)
    most = heaviest * float(np.median(n_examples))
    return [min(1.0, most / n) for n in n_examples]


def summarize(reports: Iterable[Sums], shares: Sequence[float]) -> Fleet:
    """Metrics of all devices together; one at a time is in memory.

    No device owns the result. Its examples count up to a bound (`bounds`), and so do its mean loss
    and errors, if there are at least three devices: the furthest quarter from the median, and at
    least one device, is judged by the rest. A device that is more than five times as far away as
    the furthest of the rest, and further than five times the median, is moved in to the larger of
    these distances. An accuracy is between 0 and 1 and is left alone.

    Args:
        reports: one per device, at least one, all of the same form. The sums run in this order.
        shares: how much of each device's examples counts, from `bounds`.
    """
    means: dict[str, list[float]] = {name: [] for name in _MEANS}
    weights: list[tuple[float, float]] = []

    def weighted() -> Iterable[Sums]:
        for one, share in zip(reports, shares, strict=True):
            for name, (mean, _) in _MEANS.items():
                value = mean(one)
                if value is not None:
                    means[name].append(value)
            counted = one.weighted(share)
            weights.append((counted.n_examples, counted.n_answers))
            yield counted

    total = reduce(add, weighted())
    found = {name: np.array(values) for name, values in means.items() if values}
    kept = {
        name: values if name == "accuracy" else _drawn_in(values) for name, values in found.items()
    }
    moved = np.any([kept[name] != values for name, values in found.items()], axis=0)
    n_examples, n_answers = np.array(weights).T
    return Fleet(
        n_devices=len(weights),
        total=replace(
            total,
            loss=math.fsum(kept["loss"] * n_examples),
            squared=math.fsum(kept["mse"] * n_answers) if "mse" in kept else None,
            absolute=math.fsum(kept["mae"] * n_answers) if "mae" in kept else None,
        ),
        quantiles={_name(name): _quantiles(name, values) for name, values in kept.items()},
        worst={_name(name): _worst(name, values) for name, values in kept.items()},
        bounded=tuple(
            place for place, share in enumerate(shares) if share < 1 or bool(moved[place])
        ),
    )


def _drawn_in(values: Array) -> Array:
    """The values, those far from all others moved towards the median."""
    n = len(values)
    if n < FEW:
        return values
    centre = float(np.median(values))
    furthest_trusted = np.sort(np.abs(values - centre))[n - 1 - max(n // ONE_IN, 1)]
    reach = REACH * max(float(furthest_trusted), abs(centre))
    return np.clip(values, centre - reach, centre + reach)


def _quantiles(name: str, values: Array) -> tuple[float, ...]:
    return tuple(float(one) for one in np.quantile(_in_units(name, values), SHARES))


def _worst(name: str, values: Array) -> float:
    """Of errors, the root over the worst devices' mean square."""
    n_worst = math.ceil(len(values) / _TAIL)
    ordered = np.sort(values)
    tail = ordered[:n_worst] if _MEANS[name][1] else ordered[-n_worst:]
    return float(_in_units(name, tail.mean()))


def _name(name: str) -> str:
    return "rmse" if name == "mse" else name


def _in_units(name: str, values: Array) -> Array:
    return np.sqrt(values) if name == "mse" else values
