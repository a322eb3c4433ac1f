"""The global model in memory: its values, the optimizer's memory, and its row."""

from dataclasses import dataclass

import numpy as np

from fedge.aggregator.models.broadcast import Broadcast
from fedge.aggregator.state.folder import StateFolder
from fedge.aggregator.state.records import ModelRecord
from fedge.messages import BlobRef
from fedge.strategies import State, Strategy, optimizer_name
from fedge.strategies.optimizers import read_state
from fedge.types import Vector


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """A global model; vectors are float32 (n_params,), the trained part comes first."""

    record: ModelRecord
    parameters: Vector
    held: Vector  # the version that devices hold and train from
    state: State

    @property
    def ref(self) -> BlobRef:
        """What devices request to get the model as they should hold it."""
        return BlobRef(self.record.held, self.size_bytes)

    @property
    def size_bytes(self) -> int:
        return 4 * self.parameters.size


def load_model(
    folder: StateFolder, record: ModelRecord, n_trainable: int, strategy: Strategy, spec: str
) -> Model:
    """Load a stored model to continue from with this strategy.

    If the optimizer is not the one that made it, it starts without memory; a change of rule
    keeps the memory.
    """
    parameters = folder.read_model(record.sha256)
    trained, held = parameters[:n_trainable], folder.read_held(record)
    if record.memory is None or optimizer_name(record.strategy) != optimizer_name(spec):
        return Model(record, parameters, held, strategy.init(trained))
    memory = folder.read_memory(record.memory)
    return Model(
        record,
        parameters,
        held,
        read_state(
            trained, memory, strategy.optimizer.memory_names, strategy.optimizer.number_names
        ),
    )


def with_state(parameters: Vector, state: State) -> Vector:
    """The whole flat vector, with its trained part taken from the state."""
    n_trainable = state.parameters.size
    return np.concatenate([state.parameters.astype(np.float32), parameters[n_trainable:]])


def keep(
    folder: StateFolder, parameters: Vector, broadcast: Broadcast, state: State
) -> tuple[bytes, bytes, bytes | None]:
    """Write the files of a model, durable on return.

    Returns:
        SHA-256 of the parameters, of what devices hold of them, and of the optimizer's memory.
    """
    sha256, memory = folder.put_model(parameters), state.memory_bytes()
    held = sha256 if broadcast.payload is None else folder.put_held(broadcast.held)
    return sha256, held, folder.put_memory(memory) if memory else None
