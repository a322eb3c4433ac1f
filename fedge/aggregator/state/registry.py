"""The global models of a state directory, read-only; an aggregator may be using it."""

from contextlib import closing
from pathlib import Path

from fedge.aggregator.state import database
from fedge.aggregator.state.evaluation_table import read_best, read_best_by, read_evaluation
from fedge.aggregator.state.folder import StateFolder
from fedge.aggregator.state.model_table import read_models
from fedge.aggregator.state.records import ModelRecord
from fedge.artifact import Artifact, load_artifact
from fedge.errors import ConfigError, StorageError
from fedge.storage import reading
from fedge.types import Vector


class Registry:
    """The models in the order they were made, and the values of those whose files are kept.

    An aggregator keeps the newest ones and the best (`--keep-models`); no row is ever deleted.
    """

    def __init__(self, state_dir: Path) -> None:
        self._folder = StateFolder(state_dir)

    def models(self) -> list[ModelRecord]:
        """All of them, version 0 first; each one's parent is the previous one."""
        return self._read("ORDER BY version")

    def is_kept(self, model: ModelRecord) -> bool:
        """Whether the model's values are still here."""
        return self._folder.has_model(model.sha256)

    def job(self) -> tuple[str, str]:
        """The fleet and the job that the models belong to."""
        path = self._folder.path
        with reading(path / database.NAME), closing(database.connect_to_read(path)) as connection:
            found = connection.execute("SELECT fleet, job FROM job").fetchone()
        if found is None:
            raise ConfigError(f"no job has been started in {path}")
        fleet, job = found
        return fleet, job

    def best(self) -> ModelRecord:
        """The best model by the aggregator's `best_by`, the first of several.

        Raises:
            ConfigError: if no model was evaluated.
        """
        path = self._folder.path
        with reading(path / database.NAME), closing(database.connect_to_read(path)) as connection:
            version = read_best(connection, read_best_by(connection))
        if version is None:
            raise ConfigError(
                f"no model in {path} was evaluated, so none is the best: run the aggregator with "
                "--test-data, or let devices evaluate (--evaluate-every)"
            )
        return self._one(f"model {version}", "WHERE version = ?", version)

    def by_devices(self, model: ModelRecord) -> tuple[float, float | None] | None:
        """Loss and accuracy of a model on the devices' own examples, if they evaluated it."""
        path = self._folder.path
        with reading(path / database.NAME), closing(database.connect_to_read(path)) as connection:
            return read_evaluation(connection, model.version)

    def latest(self) -> ModelRecord:
        """The newest model."""
        return self._one("model", "ORDER BY version DESC LIMIT 1")

    def model(self, round_: int) -> ModelRecord:
        """The model that a round made.

        Raises:
            ConfigError: if that round made none.
        """
        return self._one(f"model of round {round_}", "WHERE round = ?", round_)

    def artifact(self) -> Artifact:
        """What is trained."""
        return load_artifact(self._folder.artifact)

    def parameters(self, model: ModelRecord) -> Vector:
        """A model's values, float32 (n_params,).

        Raises:
            ConfigError: if they are no longer kept.
            StorageError: if its file is damaged.
        """
        if not self.is_kept(model):
            raise ConfigError(
                f"the model of round {model.round} is no longer kept; those of rounds "
                f"{self._kept_rounds()} are (--keep-models of the aggregator sets how many)"
            )
        return self._folder.read_model(model.sha256)

    def _kept_rounds(self) -> str:
        rounds = [one.round for one in self.models() if one.round is not None and self.is_kept(one)]
        return ", ".join(map(str, rounds)) or "none"

    def _one(self, what: str, where: str, *values: object) -> ModelRecord:
        found = self._read(where, *values)
        if not found:
            raise ConfigError(f"there is no {what} in {self._folder.path}")
        return found[0]

    def _read(self, where: str, *values: object) -> list[ModelRecord]:
        path = self._folder.path
        with reading(path / database.NAME), closing(database.connect_to_read(path)) as connection:
            return list(read_models(connection, where, *values))


def open_registry(state_dir: Path) -> Registry:
    """The models of an aggregator's state directory.

    Raises:
        StorageError: if it is not one.
    """
    if not (state_dir / database.NAME).is_file():
        raise StorageError(f"{state_dir} is not the state directory of an aggregator")
    return Registry(state_dir)
