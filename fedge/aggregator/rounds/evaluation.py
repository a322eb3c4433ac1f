"""How good a global model is on the aggregator's own test data."""

from pathlib import Path

from fedge.artifact import Artifact
from fedge.data import read_npz
from fedge.training import ArrayData, Evaluation, Trainer
from fedge.types import Vector


class Evaluator:
    """Evaluates models on held-out examples; loads its graph on first use.

    Args:
        artifact: the model.
        data: an `.npz` file: the examples marked `is_test`, or all if none are marked.

    Raises:
        ConfigError, DataError: if the file cannot be read or does not fit the model.
    """

    def __init__(self, artifact: Artifact, data: Path) -> None:
        self._trainer = Trainer(artifact)
        found = read_npz(data)
        held_out = found if found.is_test is None else found.test()
        self._data = ArrayData.of(held_out).check(artifact.manifest)

    def evaluate(self, parameters: Vector) -> Evaluation:
        """All metrics; they are not finite if the model's scores are not."""
        return self._trainer.evaluate(parameters, self._data)
