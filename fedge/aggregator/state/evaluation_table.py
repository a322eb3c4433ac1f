"""The tables of evaluations by devices, and which model is the best; the caller owns transactions.

Models are compared by what the aggregator found on its test data, or by what the devices found on
their own examples: by accuracy, and then by loss, or by loss alone.
"""

import sqlite3
from typing import get_args

from fedge.aggregator.state.records import DeviceEvaluation, EvaluationRecord
from fedge.config.aggregator import BestBy
from fedge.types import DeviceId, RoundId

_TABLES = {"test": "model", "devices": "evaluation"}
_ORDERS = {
    "accuracy": "accuracy IS NOT NULL ORDER BY accuracy DESC, loss IS NULL, loss, version",
    "loss": "loss IS NOT NULL ORDER BY loss, version",
}


def insert_evaluation(db: sqlite3.Connection, found: EvaluationRecord) -> None:
    """Add what the devices of a round found."""
    db.execute(
        "INSERT INTO evaluation (round, version, n_examples, loss, accuracy) VALUES (?,?,?,?,?)",
        (found.round, found.version, found.n_examples, found.loss, found.accuracy),
    )
    db.executemany(
        "INSERT INTO device_evaluation (round, device, version, n_examples, loss, accuracy) "
        "VALUES (?,?,?,?,?,?)",
        (
            (found.round, one.device, found.version, one.n_examples, one.loss, one.accuracy)
            for one in found.devices
        ),
    )


def read_last_evaluation(db: sqlite3.Connection) -> EvaluationRecord | None:
    """What the devices found last, in device order."""
    row = db.execute(
        "SELECT round, version, n_examples, loss, accuracy FROM evaluation "
        "ORDER BY round DESC LIMIT 1"
    ).fetchone()
    if row is None:
        return None
    devices = db.execute(
        "SELECT device, n_examples, loss, accuracy FROM device_evaluation WHERE round = ? "
        "ORDER BY device",
        (row[0],),
    )
    round_, version, n_examples, loss, accuracy = row
    return EvaluationRecord(
        round=RoundId(round_),
        version=version,
        n_examples=n_examples,
        loss=loss,
        accuracy=accuracy,
        devices=tuple(
            DeviceEvaluation(DeviceId(device), n_examples, loss, accuracy)
            for device, n_examples, loss, accuracy in devices
        ),
    )


def read_evaluation(db: sqlite3.Connection, version: int) -> tuple[float, float | None] | None:
    """Loss and accuracy of a model on the devices' examples; None also in an older directory."""
    if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'evaluation'").fetchone():
        return None
    row = db.execute(
        "SELECT loss, accuracy FROM evaluation WHERE version = ? ORDER BY round DESC LIMIT 1",
        (version,),
    ).fetchone()
    return None if row is None else (row[0], row[1])


def read_best(db: sqlite3.Connection, by: BestBy | None) -> int | None:
    """The version of the best model; None if none was evaluated.

    Args:
        db: the database.
        by: how models are compared; None for a database of an older release, which compared by
            accuracy on the test data, or by loss where there is no accuracy.
    """
    for one in ("test_accuracy", "test_loss") if by is None else (by,):
        table, order = _of(one)
        row = db.execute(f"SELECT version FROM {table} WHERE {order} LIMIT 1").fetchone()  # noqa: S608 - constants
        if row is not None:
            return int(row[0])
    return None


def count_since_best(db: sqlite3.Connection, by: BestBy) -> int:
    """How many models have been evaluated since the best one."""
    table, _ = _of(by)
    metric = by.partition("_")[2]
    (n,) = db.execute(
        f"SELECT count(*) FROM {table} WHERE {metric} IS NOT NULL AND version > ?",  # noqa: S608 - constants
        (read_best(db, by) or 0,),
    ).fetchone()
    return int(n)


def read_best_by(db: sqlite3.Connection) -> BestBy | None:
    """How models are compared in this directory; None if an older release wrote it."""
    columns = {row[1] for row in db.execute("PRAGMA table_info(job)")}
    row = db.execute("SELECT best_by FROM job").fetchone() if "best_by" in columns else None
    return next((one for one in get_args(BestBy) if row is not None and one == row[0]), None)


def _of(by: str) -> tuple[str, str]:
    where, _, metric = by.partition("_")
    return _TABLES[where], _ORDERS[metric]
