"""The table of models: rows are added and read, never changed."""

import sqlite3
from collections.abc import Iterator

from fedge.aggregator.records import ModelRecord


def read_models(db: sqlite3.Connection, where: str, *values: object) -> Iterator[ModelRecord]:
    """Rows of the table of models, chosen by an SQL clause of the caller's own."""
    columns = "version, round, parent, sha256, memory, strategy, loss, accuracy"
    rows = db.execute(f"SELECT {columns} FROM model {where}", values)  # noqa: S608 - no outside text
    for row in rows.fetchall():
        yield ModelRecord(**dict(zip(columns.split(", "), row, strict=True)))


def insert_model(db: sqlite3.Connection, model: ModelRecord, created_at: str) -> None:
    """Add a model; the caller's transaction makes it durable."""
    db.execute(
        "INSERT INTO model (version, round, parent, sha256, memory, strategy, loss, accuracy, "
        "created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            model.version,
            model.round,
            model.parent,
            model.sha256,
            model.memory,
            model.strategy,
            model.loss,
            model.accuracy,
            created_at,
        ),
    )
