"""Which models keep their files: the newest ones and the best one. Rows are never deleted."""

from fedge.aggregator.state.folder import StateFolder
from fedge.aggregator.state.records import ModelRecord
from fedge.aggregator.state.store import Store


def kept(store: Store, most: int) -> list[ModelRecord]:
    """The newest `most` models, at least one, and the best of all that were evaluated.

    A restart, the open round and the devices' downloads continue from the newest.
    """
    best = store.best_model()
    return [*store.newest_models(max(1, most)), *([best] if best is not None else [])]


def forget_models(store: Store, folder: StateFolder, most: int) -> None:
    """Delete the files of all other models, and files that no row names.

    Call it after the newest model's row is durable, and at startup: then a file is deleted only
    when no row needs it any more, and leftovers of a crash go at the next start.
    """
    newest, *others = kept(store, most)
    folder.forget_held(newest)
    folder.forget_models([newest, *others], newest)
