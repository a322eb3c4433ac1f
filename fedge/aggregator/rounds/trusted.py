"""Data that the aggregator trusts, and what it learns from them in a round."""

from dataclasses import replace
from pathlib import Path

from fedge.artifact import Artifact
from fedge.data import read_npz
from fedge.errors import ConfigError
from fedge.training import ArrayData, Plan, Trainer
from fedge.types import RoundId, Vector

_SEEDS = 2**63


class TrustedData:
    """Trains as a device would, on examples of its own; loads its graph on first use.

    Args:
        artifact: the model.
        data: an `.npz` file: the examples that are not marked `is_test`.

    Raises:
        ConfigError, DataError: if the file cannot be read, does not fit the model or has no
            examples.
    """

    def __init__(self, artifact: Artifact, data: Path) -> None:
        self._trainer = Trainer(artifact)
        self._data = ArrayData.of(read_npz(data).train()).check(artifact.manifest)
        if not self._data.n_examples:
            raise ConfigError(f"{data}: expected at least one example to train on, found none")

    def delta(self, parameters: Vector, plan: Plan, round_: RoundId) -> Vector:
        """How far a round's plan moves these parameters, float32 (n_trainable,).

        Raises:
            TrainingError: if that is not finite.
        """
        seeded = replace(plan, seed=(plan.seed + round_) % _SEEDS)
        return self._trainer.fit(parameters, self._data, seeded).delta
