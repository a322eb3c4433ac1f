"""The global model in memory: its values, what the strategy remembers, and its row."""

from dataclasses import dataclass

import numpy as np

from fedge.aggregator.folder import StateFolder
from fedge.aggregator.records import ModelRecord
from fedge.messages import BlobRef
from fedge.strategies import State, Strategy
from fedge.strategies.base import read_state
from fedge.types import Vector


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """A global model. `parameters` is float32 (n_params,), its trained part comes first."""

    record: ModelRecord
    parameters: Vector
    state: State

    @property
    def ref(self) -> BlobRef:
        """What devices ask for to get it."""
        return BlobRef(self.record.sha256, 4 * self.parameters.size)


def load_model(
    folder: StateFolder, record: ModelRecord, n_trainable: int, strategy: Strategy, spec: str
) -> Model:
    """A model that was kept, as this strategy goes on from it.

    Under another strategy than the one that made it, it starts without memory.
    """
    parameters = folder.read_model(record.sha256)
    trained = parameters[:n_trainable]
    if record.memory is None or _name(record.strategy) != _name(spec):
        return Model(record, parameters, strategy.init(trained))
    memory = folder.read_memory(record.memory)
    return Model(record, parameters, read_state(trained, memory, strategy.memory_names))


def with_state(parameters: Vector, state: State) -> Vector:
    """The whole flat vector with the trained part that the state holds."""
    n_trainable = state.parameters.size
    return np.concatenate([state.parameters.astype(np.float32), parameters[n_trainable:]])


def keep(folder: StateFolder, parameters: Vector, state: State) -> tuple[bytes, bytes | None]:
    """Write the files of a model, durable on return: SHA-256 of parameters and of memory."""
    memory = state.memory_bytes()
    return folder.put_model(parameters), folder.put_memory(memory) if memory else None


def _name(spec: str) -> str:
    return spec.partition(":")[0]
