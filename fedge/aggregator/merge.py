"""A cohort's stored updates and the model before, to the model after."""

from collections.abc import Iterable, Mapping, Sequence
from functools import reduce

import numpy as np

from fedge.artifact import Artifact
from fedge.messages import StatisticsReport
from fedge.strategies import State, Strategy, mean_of_payloads
from fedge.training.statistics import FeatureStatistics, merge, to_parameters
from fedge.types import Vector

_Features = Mapping[str, FeatureStatistics]


def merge_statistics(payloads: Iterable[bytes], artifact: Artifact, parameters: Vector) -> Vector:
    """The parameters with mean and scale of all devices' examples taken together.

    The sums run in the order given, in float64: device order gives the same bits
    whatever order the updates arrived in.
    """
    reports = (StatisticsReport.from_bytes(payload, artifact.manifest) for payload in payloads)
    total = reduce(_merge_all, (report.features for report in reports))
    return to_parameters(total, artifact.manifest, parameters)


def merge_deltas(
    strategy: Strategy,
    state: State,
    n_examples: Sequence[int],
    payloads: Iterable[bytes],
    shares: Sequence[float] | None = None,
) -> State | None:
    """The state after this cohort; None if it would not be finite.

    Deltas within `bound_norms` cannot leave the range of float32, but a model may be at its edge.
    """
    mean = mean_of_payloads(n_examples, payloads, state.parameters.size, shares)
    with np.errstate(over="ignore", invalid="ignore"):
        after = strategy.step(state, mean)
    vectors = (after.parameters, *after.memory.values())
    return after if all(np.isfinite(vector).all() for vector in vectors) else None


def _merge_all(a: _Features, b: _Features) -> _Features:
    return {name: merge(a[name], b[name]) for name in a}
