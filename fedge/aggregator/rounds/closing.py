"""Making the next model from a round that is over, and writing its files."""

from dataclasses import dataclass
from typing import Any

from fedge.aggregator.models.broadcast import Broadcaster
from fedge.aggregator.models.model import Model, keep
from fedge.aggregator.models.vectors import serve
from fedge.aggregator.rounds.combine import Combiner
from fedge.aggregator.rounds.context import Context
from fedge.aggregator.state.records import ModelRecord
from fedge.codecs import Stamp
from fedge.rounds import Round


@dataclass(frozen=True, slots=True)
class NextModel:
    """A model whose files are on disk, but which is not in the database yet.

    Attributes:
        model: the model.
        broadcast: what devices are sent to get there; None if they fetch the whole model.
        told: fields of the round's event.
    """

    model: Model
    broadcast: bytes | None
    told: dict[str, Any]


def make_next(
    context: Context, combiner: Combiner, broadcaster: Broadcaster, before: Model, round_: Round
) -> NextModel:
    """Combine the round's updates, evaluate the result and write its files."""
    combined = combiner.combine(before, round_)
    parameters, state = combined.parameters, combined.state
    loss, accuracy = context.evaluator.evaluate(parameters) if context.evaluator else (None, None)
    stamp = Stamp(schema=context.artifact.schema[:4], round=round_.id)
    broadcast = broadcaster.broadcast(parameters, before.held, stamp, context.config.seed)
    served = serve(combined.server, context.config.downlink_codec, stamp, context.config.seed)
    kept = keep(context.folder, parameters, broadcast, state, served)
    record = ModelRecord(
        version=before.record.version + 1,
        round=round_.id,
        parent=before.record.sha256,
        sha256=kept.sha256,
        held=kept.held,
        memory=kept.memory,
        strategy=context.config.strategy,
        loss=loss,
        accuracy=accuracy,
        algorithm=context.config.algorithm,
        since=before.since,
        server=kept.server,
    )
    model = Model(record, parameters, broadcast.held, state, before.since, served)
    return NextModel(model, broadcast.payload, combined.told)
