"""The global model in memory: its values, what strategy and algorithm remember, and its row."""

from dataclasses import dataclass, field, replace

import numpy as np

from fedge import strategies
from fedge.aggregator.models.broadcast import Broadcast
from fedge.aggregator.models.vectors import Served, read_served
from fedge.aggregator.state.folder import StateFolder
from fedge.aggregator.state.records import ModelRecord
from fedge.errors import ConfigError
from fedge.messages import BlobRef
from fedge.strategies import State, Strategy, algorithms, optimizer_name
from fedge.strategies.algorithms import algorithm_name
from fedge.strategies.optimizers import read_state
from fedge.types import Vector


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """A global model; vectors are float32 (n_params,), the trained part comes first.

    Attributes:
        record: its row.
        parameters: its values.
        held: the version that devices hold and train from.
        state: its trained part, and what optimizer and algorithm remember.
        since: the version that the algorithm's vectors began with.
        served: what devices need of them.
    """

    record: ModelRecord
    parameters: Vector
    held: Vector
    state: State
    since: int = 0
    served: Served = field(default_factory=Served)

    @property
    def ref(self) -> BlobRef:
        """What devices request to get the model as they should hold it."""
        return BlobRef(self.record.held, self.size_bytes)

    @property
    def size_bytes(self) -> int:
        return 4 * self.parameters.size


def load_model(
    folder: StateFolder,
    record: ModelRecord,
    n_trainable: int,
    strategy: Strategy,
    spec: str,
    *,
    algorithm: str = algorithms.DEFAULT,
) -> Model:
    """Load a stored model to continue from with this strategy and this algorithm.

    An optimizer that did not make it starts without memory, and so does such an algorithm; a
    change of rule or of parameters keeps both memories.
    """
    parameters = folder.read_model(record.sha256)
    trained = parameters[:n_trainable]
    fresh = algorithms.get(algorithm).init(strategy.init(trained))
    stored = _stored(folder, record, trained, spec, algorithm)
    model = Model(
        record,
        parameters,
        folder.read_held(record),
        State(trained, {**fresh.memory, **stored}),
        record.version,
    )
    if algorithm_name(record.algorithm) != algorithm_name(algorithm):
        return model
    served = Served()
    if record.server is not None:
        served = read_served(folder.read_server(record.server), n_trainable)
    return replace(model, since=record.since, served=served)


def _stored(
    folder: StateFolder, record: ModelRecord, trained: Vector, spec: str, algorithm: str
) -> dict[str, Vector]:
    """What the stored model's optimizer and algorithm remember, if they are the same as now."""
    if record.memory is None:
        return {}
    try:
        optimizer = strategies.get(optimizer_name(record.strategy)).optimizer
        before = algorithms.get(record.algorithm)
    except ConfigError:  # another release made it
        return {}
    kept: list[str] = []
    if optimizer_name(record.strategy) == optimizer_name(spec):
        kept += (*optimizer.memory_names, *optimizer.number_names)
    if algorithm_name(record.algorithm) == algorithm_name(algorithm):
        kept += before.memory_names
    if not kept:
        return {}
    names = (*optimizer.memory_names, *before.memory_names)
    state = read_state(trained, folder.read_memory(record.memory), names, optimizer.number_names)
    return {name: state.memory[name] for name in kept}


def with_state(parameters: Vector, state: State) -> Vector:
    """The whole flat vector, with its trained part taken from the state."""
    n_trainable = state.parameters.size
    return np.concatenate([state.parameters.astype(np.float32), parameters[n_trainable:]])


@dataclass(frozen=True, slots=True)
class Kept:
    """SHA-256 of a model's files; None for those that it does not need.

    Attributes:
        sha256: of the parameters.
        held: of what devices hold of them.
        memory: of what optimizer and algorithm remember.
        server: of what devices need of it.
    """

    sha256: bytes
    held: bytes
    memory: bytes | None
    server: bytes | None


def keep(
    folder: StateFolder,
    parameters: Vector,
    broadcast: Broadcast,
    state: State,
    served: Served = Served(),  # noqa: B008 - frozen
) -> Kept:
    """Write the files of a model, durable on return."""
    sha256, memory = folder.put_model(parameters), state.memory_bytes()
    return Kept(
        sha256,
        sha256 if broadcast.payload is None else folder.put_held(broadcast.held),
        folder.put_memory(memory) if memory else None,
        None if served.data is None else folder.put_server(served.data),
    )
