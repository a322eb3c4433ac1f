"""The state directory of an aggregator.

{state_dir}/lock                       held by the running aggregator
{state_dir}/state.sqlite3              see `fedge.aggregator.state.schema`
{state_dir}/artifact.fedge             what is trained, as given
{state_dir}/models/{sha256}.f32        global parameters: float32, little-endian, n_params; of
                                       the last models and of the best (`--keep-models`)
{state_dir}/models/{sha256}.memory     what the strategy remembers: float32, little-endian; the
                                       newest model's
{state_dir}/models/{sha256}.server     what devices need of the algorithm's vectors, as sent; the
                                       newest model's
{state_dir}/held/{sha256}.f32          the newest model as devices hold it, where that differs
"""

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from fedge.aggregator.state.records import ModelRecord
from fedge.storage import check_private, make_private, read_checked, write_file, writing
from fedge.types import Vector


class StateFolder:
    """Files named by their content: complete and durable before anything refers to them."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def artifact(self) -> Path:
        return self.path / "artifact.fedge"

    def model(self, sha256: bytes) -> Path:
        """Where the parameters with this hash are."""
        return self.path / "models" / f"{sha256.hex()}.f32"

    def memory(self, sha256: bytes) -> Path:
        """Where the strategy's vectors with this hash are."""
        return self.path / "models" / f"{sha256.hex()}.memory"

    def server(self, sha256: bytes) -> Path:
        """Where the algorithm's vectors with this hash are, as devices are sent them."""
        return self.path / "models" / f"{sha256.hex()}.server"

    def held(self, model: ModelRecord) -> Path:
        """Where the model as devices hold it is; it may be the model itself."""
        if model.held == model.sha256:
            return self.model(model.sha256)
        return self._held(model.held)

    def make(self) -> None:
        """Create the directory if it does not exist, unreadable for other users.

        Raises:
            StorageError: if it cannot be created, others may read it, or it contains a link.
        """
        for folder in (self.path, self.path / "models", self.path / "held"):
            make_private(folder)
        check_private(self.path)

    def sweep(self) -> None:
        """Delete files that a killed aggregator was still writing; nothing refers to them."""
        with writing(self.path):
            for torn in (
                *self.path.glob(".*.fedge.*"),
                *(self.path / "models").glob(".*"),
                *(self.path / "held").glob(".*"),
            ):
                torn.unlink()

    def put_model(self, parameters: Vector) -> bytes:
        """Keep parameters; their SHA-256."""
        return self._put(parameters.astype("<f4").tobytes(), self.model)

    def put_memory(self, data: bytes) -> bytes:
        """Keep a strategy's memory; its SHA-256."""
        return self._put(data, self.memory)

    def put_server(self, data: bytes) -> bytes:
        """Keep an algorithm's vectors as devices are sent them; their SHA-256."""
        return self._put(data, self.server)

    def put_held(self, parameters: Vector) -> bytes:
        """Keep parameters as devices hold them; their SHA-256."""
        return self._put(parameters.astype("<f4").tobytes(), self._held)

    def forget_held(self, newest: ModelRecord) -> None:
        """Delete earlier models as devices held them: a row may name one, but nothing reads it."""
        with writing(self.path):
            for path in (self.path / "held").iterdir():
                if path != self.held(newest):
                    path.unlink()

    def forget_models(self, kept: Iterable[ModelRecord], newest: ModelRecord) -> None:
        """Delete the parameters of all models but these, and all vectors but the newest's."""
        wanted = {self.model(one.sha256) for one in kept}
        if newest.memory is not None:
            wanted.add(self.memory(newest.memory))
        if newest.server is not None:
            wanted.add(self.server(newest.server))
        with writing(self.path):
            for path in (self.path / "models").iterdir():
                if path not in wanted:
                    path.unlink()

    def has_model(self, sha256: bytes) -> bool:
        """Whether the parameters with this hash are still here."""
        return self.model(sha256).is_file()

    def read_model(self, sha256: bytes) -> Vector:
        """Parameters by their hash, float32 (n_params,).

        Raises:
            StorageError: if the file is missing or its content has changed.
        """
        return np.frombuffer(read_checked(self.model(sha256), sha256), "<f4").astype(np.float32)

    def read_held(self, model: ModelRecord) -> Vector:
        """The newest model as devices hold it, float32 (n_params,); StorageError as above."""
        data = read_checked(self.held(model), model.held)
        return np.frombuffer(data, "<f4").astype(np.float32)

    def read_memory(self, sha256: bytes) -> bytes:
        """A strategy's memory by its hash; StorageError as above."""
        return read_checked(self.memory(sha256), sha256)

    def read_server(self, sha256: bytes) -> bytes:
        """An algorithm's vectors by their hash, as sent; StorageError as above."""
        return read_checked(self.server(sha256), sha256)

    def _held(self, sha256: bytes) -> Path:
        return self.path / "held" / f"{sha256.hex()}.f32"

    def _put(self, data: bytes, place: Callable[[bytes], Path]) -> bytes:
        sha256 = hashlib.sha256(data).digest()
        write_file(place(sha256), data, is_private=True)
        return sha256
