"""Turns a cohort's stored updates and the current model into the next model."""

from collections.abc import Callable, Iterable

import numpy as np

from fedge.artifact import Artifact
from fedge.messages import StatisticsReport
from fedge.strategies import Cohort, State
from fedge.training.pooling import pool
from fedge.training.statistics import to_parameters
from fedge.types import Vector


def merge_statistics(
    payloads: Iterable[bytes], artifact: Artifact, parameters: Vector
) -> tuple[Vector, tuple[int, ...]]:
    """The parameters with the mean and scale of all devices' examples pooled, see `pool`.

    All reports are in memory, 24 bytes a feature each. The sums run in the order given, in
    float64: device order gives the same bits whatever order the updates arrived in.

    Returns:
        The parameters, and the positions of the reports that were scaled down.
    """
    reports = [StatisticsReport.from_bytes(payload, artifact.manifest) for payload in payloads]
    pooled = pool([report.features for report in reports])
    return to_parameters(pooled.features, artifact.manifest, parameters), pooled.bounded


def merge_deltas(
    step: Callable[[State, Cohort], State], state: State, cohort: Cohort
) -> State | None:
    """The state after this cohort; None if it would not be finite.

    Deltas within `bound_norms` stay in the range of float32, but a model may be near its limit.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        after = step(state, cohort)
    vectors = (after.parameters, *after.memory.values())
    return after if all(np.isfinite(vector).all() for vector in vectors) else None
