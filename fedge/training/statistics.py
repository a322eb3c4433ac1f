"""Mean and variance of features over a fleet whose examples never leave the devices."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fedge.artifact import InputSpec, Manifest, TargetSpec
from fedge.errors import DataError
from fedge.training.data import DataSource
from fedge.types import Array, Vector

CHUNK = 1024  # examples processed together

# float32 resolves values to 6e-8 of their size: less spread than this is rounding.
_SMALLEST_SPREAD = 1e-7


@dataclass(frozen=True, slots=True, eq=False)
class FeatureStatistics:
    """Count, mean and sum of squared deviations of each feature, not counting missing values.

    All float64, of one shape: the `statistic_shape` of the input they belong to.

    Raises:
        DataError: on construction, if no data could have these statistics.
    """

    count: Array
    mean: Array
    m2: Array

    def __post_init__(self) -> None:
        if not self.count.shape == self.mean.shape == self.m2.shape:
            found = [self.count.shape, self.mean.shape, self.m2.shape]
            raise DataError("statistics", expected="one shape", found=found)
        parts = np.stack([self.count, self.mean, self.m2])
        if not (np.isfinite(parts).all() and (self.count >= 0).all() and (self.m2 >= 0).all()):
            raise DataError(
                "statistics", expected="finite, count and m2 not negative", found="others"
            )

    @property
    def scale(self) -> Array:
        """1 / population standard deviation; 0 for a constant feature."""
        std = np.sqrt(self.m2 / np.maximum(self.count, 1))
        varies = std > np.maximum(_SMALLEST_SPREAD * np.abs(self.mean), 1e-30)
        return np.divide(1, std, out=np.zeros_like(std), where=varies)


def federated(manifest: Manifest) -> tuple[InputSpec | TargetSpec, ...]:
    """The inputs, and perhaps the target, whose statistics the fleet is asked for."""
    specs: tuple[InputSpec | TargetSpec, ...] = (*manifest.inputs, manifest.target)
    return tuple(spec for spec in specs if spec.standardize == "federated")


def measure(data: DataSource, manifest: Manifest) -> dict[str, FeatureStatistics]:
    """Statistics of every federated input, and of the target, by name; one pass over the data."""
    total = {spec.name: _empty(spec) for spec in federated(manifest)}
    for start in range(0, data.n_examples, CHUNK):
        inputs, targets = data.batch(np.arange(start, min(start + CHUNK, data.n_examples)))
        arrays = {**inputs, manifest.target.name: targets}
        for name, before in total.items():
            total[name] = merge(before, _of(arrays[name], before.mean.shape))
    return total


def merge(a: FeatureStatistics, b: FeatureStatistics) -> FeatureStatistics:
    """Statistics of two sets of examples combined.

    Source: Chan, Golub and LeVeque, 1983, The American Statistician 37(3), equation 1.5.
    """
    if a.count.shape != b.count.shape:
        raise DataError("shape of statistics", expected=a.count.shape, found=b.count.shape)
    count = a.count + b.count
    share = b.count / np.maximum(count, 1)
    shift = b.mean - a.mean
    return FeatureStatistics(
        count, a.mean + shift * share, a.m2 + b.m2 + shift * shift * a.count * share
    )


def to_parameters(
    statistics: Mapping[str, FeatureStatistics], manifest: Manifest, parameters: Vector
) -> Vector:
    """A copy of the flat parameters with the mean and scale of every federated input filled in.

    For the target it is the deviation instead of the scale, or 1 if the target never varies.

    Raises:
        DataError: if statistics are missing or have the wrong shape.
    """
    result = np.array(parameters, np.float32)
    slots = {slot.name: slot for slot in manifest.layout}
    names = [spec.name for spec in federated(manifest)]
    if sorted(names) != sorted(statistics):
        raise DataError("statistics", expected=sorted(names), found=sorted(statistics))
    for spec in federated(manifest):
        values = statistics[spec.name]
        if values.mean.shape != spec.statistic_shape:
            raise DataError(
                f"statistics of {spec.name}", expected=spec.statistic_shape, found=values.mean.shape
            )
        slots[spec.mean_slot].view(result)[...] = values.mean
        scale = values.scale
        if isinstance(spec, TargetSpec):
            scale = np.divide(1, scale, out=np.ones_like(scale), where=scale > 0)
        slots[spec.scale_slot].view(result)[...] = scale
    return result


def _empty(spec: InputSpec | TargetSpec) -> FeatureStatistics:
    zeros = np.zeros(spec.statistic_shape)
    return FeatureStatistics(zeros, zeros, zeros)


def _of(array: Array, shape: tuple[int, ...]) -> FeatureStatistics:
    """Statistics of examples (n, ..): over examples, and from rank 2 on over all but channels."""
    axes = (0, *range(2, array.ndim))
    values = array.astype(np.float64)
    known = ~np.isnan(values)
    count = known.sum(axes, dtype=np.float64)
    mean = np.where(known, values, 0).sum(axes) / np.maximum(count, 1)
    column = mean.reshape(mean.shape + (1,) * (array.ndim - 2))
    m2 = (np.where(known, values - column, 0) ** 2).sum(axes)
    return FeatureStatistics(count.reshape(shape), mean.reshape(shape), m2.reshape(shape))
