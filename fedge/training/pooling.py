"""A fleet's feature statistics from those of its devices, a few of which may be false."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from fedge.training.statistics import FeatureStatistics, merge
from fedge.types import Array

REACH = 5.0  # how far out a device may be, relative to the furthest trusted one
ONE_IN = 4  # one device in so many may be wrong about a feature, and always at least one
FEW = 3  # fewer devices have no majority

_Features = Mapping[str, FeatureStatistics]


@dataclass(frozen=True, slots=True, eq=False)
class Pooled:
    """Statistics by input, and the indices of the reports that were bounded."""

    features: dict[str, FeatureStatistics]
    bounded: tuple[int, ...]


def pool(reports: Sequence[_Features]) -> Pooled:
    """Statistics of all examples together; devices far from the others have bounded influence.

    Feature by feature, over the devices that have values of it, if there are at least three:
    the centre is the median of their means. A device's distance from it is the root mean
    square distance of its values. The furthest quarter of the devices, and at least one, are
    judged by the rest: a device more than five times as far out as the furthest of the rest is
    pulled in to five times, mean and deviation alike. If the rest are all at the centre, the
    nearest device that is not sets the scale. Finally, a device that has more values than all
    others together is given the same weight as they have.

    Reports within the bounds are combined by `merge`, in the order given, in float64.

    Args:
        reports: one per device, at least one, all of the same inputs.
    """
    features, bounded = {}, set()
    for name in reports[0]:
        own = [report[name] for report in reports]
        kept, places = _bounded(own)
        features[name] = reduce(merge, kept)
        bounded.update(places)
    return Pooled(features, tuple(sorted(bounded)))


def _bounded(own: list[FeatureStatistics]) -> tuple[list[FeatureStatistics], list[int]]:
    """One input's statistics, pulled within the bounds, and the indices of those outside."""
    count, mean, m2 = (np.stack(part) for part in zip(*map(_parts, own), strict=True))
    knows = count > 0
    is_many = knows.sum(0) >= FEW
    drawn = np.where(is_many, _draws(mean, m2 / np.maximum(count, 1), knows), 1.0)
    centre = _median(mean, knows)
    others = count.sum(0) - count
    weight = np.where(is_many, np.minimum(count, others), count)
    after = [
        FeatureStatistics(*row)
        for row in zip(
            weight,
            np.where(drawn < 1, centre + drawn * (mean - centre), mean),
            np.where((drawn < 1) | (weight < count), m2 * drawn**2 * _shares(weight, count), m2),
            strict=True,
        )
    ]
    is_bounded = ((drawn < 1) | (weight < count)).reshape(len(own), -1).any(1)
    return after, [int(place) for place in np.flatnonzero(is_bounded)]


def _parts(one: FeatureStatistics) -> tuple[Array, Array, Array]:
    return one.count, one.mean, one.m2


def _draws(mean: Array, variance: Array, knows: Array) -> Array:
    """The factor that pulls each device's values towards the centre; 1 leaves them alone."""
    distance = np.sqrt(variance + (mean - _median(mean, knows)) ** 2)
    reach = REACH * _yardstick(np.where(knows, distance, 0), knows.sum(0))
    drawn: Array = np.ones_like(distance)
    np.divide(reach, distance, out=drawn, where=knows & (distance > reach))
    return drawn


def _shares(weight: Array, count: Array) -> Array:
    return np.divide(weight, count, out=np.ones_like(weight), where=count > 0)


def _median(values: Array, known: Array) -> Array:
    """Over axis 0, of the known values: halfway between the middle two; 0 if there are none."""
    n = known.sum(0)
    ordered = np.sort(np.where(known, values, np.inf), 0)
    last = np.maximum(n - 1, 0)
    low, high = (_at(ordered, np.where(n > 0, at, 0)) for at in (last // 2, n // 2))
    middle: Array = np.where(n > 0, (low + high) / 2, 0.0)
    return middle


def _yardstick(distance: Array, n: Array) -> Array:
    """The largest, leaving out a quarter of the n known ones; if 0, the smallest above 0."""
    n_spared = np.maximum(n // ONE_IN, 1)
    typical = _at(np.sort(distance, 0), np.maximum(len(distance) - 1 - n_spared, 0))
    least = np.where(distance > 0, distance, np.inf).min(0)
    return np.where(typical > 0, typical, np.where(np.isfinite(least), least, 0))


def _at(ordered: Array, place: Array) -> Array:
    found: Array = np.take_along_axis(ordered, place[None], 0)[0]
    return found
