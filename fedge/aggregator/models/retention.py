"""Which models keep their files: the last ones, and the best one. Rows are never taken away."""

from fedge.aggregator.state.folder import StateFolder
from fedge.aggregator.state.records import ModelRecord
from fedge.aggregator.state.store import Store


def kept(store: Store, most: int) -> list[ModelRecord]:
    """The newest `most` models, at least one, and the best of all that were judged.

    The newest is what a restart, the open round and the devices' downlink go on from.
    """
    best = store.best_model()
    return [*store.newest_models(max(1, most)), *([best] if best is not None else [])]


def forget_models(store: Store, folder: StateFolder, most: int) -> None:
    """Take away the files of all other models, and of what was never in the database.

    Call it after the newest model's row is durable, and at the start: so a file goes only once no
    row that counts needs it, and what a crash left over goes with the next start.
    """
    newest, *others = kept(store, most)
    folder.forget_held(newest)
    folder.forget_models([newest, *others], newest)
