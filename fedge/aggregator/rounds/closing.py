"""Making the next model from a round that is over, and writing its files."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from fedge.aggregator.models.broadcast import Broadcaster
from fedge.aggregator.models.model import Model, keep
from fedge.aggregator.rounds.combine import Combiner
from fedge.aggregator.rounds.context import Context
from fedge.aggregator.state.records import ModelRecord, Verdicts
from fedge.codecs import Stamp
from fedge.rounds import Round
from fedge.types import DeviceId


@dataclass(frozen=True, slots=True)
class NextModel:
    """A model whose files are on disk, but which is not in the database yet.

    Attributes:
        model: the model.
        broadcast: what devices are sent to get there; None if they fetch the whole model.
        told: fields of the round's event.
        history: sums of devices that go into the database with it.
        verdicts: what the round says about its devices, to be stored with the model.
    """

    model: Model
    broadcast: bytes | None
    told: dict[str, Any]
    history: Iterable[tuple[DeviceId, bytes]]
    verdicts: Verdicts | None


def make_next(
    context: Context, combiner: Combiner, broadcaster: Broadcaster, before: Model, round_: Round
) -> NextModel:
    """Combine the round's updates, evaluate the result and write its files."""
    combined = combiner.combine(before, round_)
    parameters, state = combined.parameters, combined.state
    loss, accuracy = context.evaluator.evaluate(parameters) if context.evaluator else (None, None)
    stamp = Stamp(schema=context.artifact.schema[:4], round=round_.id)
    broadcast = broadcaster.broadcast(parameters, before.held, stamp, context.config.seed)
    sha256, held, memory = keep(context.folder, parameters, broadcast, state)
    record = ModelRecord(
        version=before.record.version + 1,
        round=round_.id,
        parent=before.record.sha256,
        sha256=sha256,
        held=held,
        memory=memory,
        strategy=context.config.strategy,
        loss=loss,
        accuracy=accuracy,
    )
    model = Model(record, parameters, broadcast.held, state)
    return NextModel(model, broadcast.payload, combined.told, combined.history, combined.verdicts)
