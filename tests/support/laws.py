"""What is true of an aggregator's state directory at any instant, even after a SIGKILL."""

import sqlite3
from pathlib import Path

from fedge.aggregator import open_registry
from fedge.aggregator.state.folder import StateFolder
from fedge.aggregator.state.records import ModelRecord


def check_laws(state: Path, *, keep_models: int = 20) -> None:
    """Checks what `fedge.aggregator.state.schema` promises about a state directory."""
    with sqlite3.connect(state / "state.sqlite3") as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
        wrong = db.execute(
            "SELECT count(*) FROM update_ JOIN round USING (round) "
            "WHERE (report IS NOT NULL AND applied_in IS NULL) "
            "OR (closed_at IS NULL AND applied_in IS NOT NULL) "
            "OR (payload IS NULL) = (applied_in IS NULL)"
        ).fetchone()
        assert wrong == (0,)
        assert db.execute("SELECT count(*) <= 1 FROM round WHERE closed_at IS NULL").fetchone()[0]
        # What is said of a device is said with the model of that round, and not before.
        (stray,) = db.execute(
            "SELECT count(*) FROM device LEFT JOIN model USING (round) WHERE version IS NULL"
        ).fetchone()
        (last, told) = db.execute(
            "SELECT (SELECT max(round) FROM model JOIN round USING (round) WHERE kind = 'training')"
            ", (SELECT max(round) FROM device)"
        ).fetchone()
        assert stray == 0
        assert told in {None, last}  # None: of a test that closes rounds without comparing
    models = open_registry(state).models()
    assert [model.version for model in models] == list(range(len(models)))
    for before, after in zip([None, *models], models, strict=False):
        assert after.parent == (before and before.sha256)
    if models:
        newest = models[-1]
        assert StateFolder(state).read_held(newest).size
        assert newest.memory is None or StateFolder(state).read_memory(newest.memory)
    for model in [*models[-keep_models:], *_best(state, models)]:
        assert StateFolder(state).read_model(model.sha256).size


def _best(state: Path, models: list[ModelRecord]) -> list[ModelRecord]:
    """The best by accuracy, on the test data or else on the devices' examples, if any has one."""
    with sqlite3.connect(state / "state.sqlite3") as db:
        by_devices = dict(db.execute("SELECT version, accuracy FROM evaluation").fetchall())
        (by,) = db.execute("SELECT best_by FROM job").fetchone() or (None,)
    scores = [
        (by_devices.get(one.version) if by == "devices_accuracy" else one.accuracy, one)
        for one in models
    ]
    judged = [(score, one) for score, one in scores if score is not None]
    if by not in {"devices_accuracy", "test_accuracy"} or not judged:
        return []
    highest = max(score for score, _ in judged)
    registry = open_registry(state)
    assert registry.best().version in [one.version for score, one in judged if score == highest]
    return [registry.best()]
