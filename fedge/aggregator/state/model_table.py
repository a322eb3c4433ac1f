"""The table of models: rows are added and read, never changed."""

import sqlite3
from collections.abc import Iterator
from dataclasses import fields
from itertools import takewhile

from fedge.aggregator.state.records import ModelRecord


def read_models(db: sqlite3.Connection, where: str, *values: object) -> Iterator[ModelRecord]:
    """Rows of the table of models, chosen by an SQL clause of the caller's own."""
    wanted = {field.name for field in fields(ModelRecord)}
    there = [row[1] for row in db.execute("PRAGMA table_info(model)")]  # older files have fewer
    columns = [name for name in there if name in wanted]
    rows = db.execute(f"SELECT {', '.join(columns)} FROM model {where}", values)  # noqa: S608 - no outside text
    for row in rows.fetchall():
        yield ModelRecord(**dict(zip(columns, row, strict=True)))


# A model that was never evaluated, or whose loss was not finite, has no place in this order.
BEST_FIRST = (
    "WHERE accuracy IS NOT NULL OR loss IS NOT NULL "
    "ORDER BY accuracy DESC, loss IS NULL, loss, version"
)


def insert_model(
    db: sqlite3.Connection, model: ModelRecord, created_at: str, *, broadcast: bytes | None = None
) -> None:
    """Add a model and the broadcast that leads to it; the caller's transaction makes it durable."""
    db.execute(
        "INSERT INTO model (version, round, parent, sha256, held, memory, strategy, loss, "
        "accuracy, algorithm, since, server, broadcast, created_at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            model.version,
            model.round,
            model.parent,
            model.sha256,
            model.held,
            model.memory,
            model.strategy,
            model.loss,
            model.accuracy,
            model.algorithm,
            model.since,
            model.server,
            broadcast,
            created_at,
        ),
    )


def read_broadcasts(db: sqlite3.Connection, most: int) -> list[bytes]:
    """The last broadcasts, oldest first, up to the newest model and without a gap."""
    rows = db.execute("SELECT broadcast FROM model ORDER BY version DESC LIMIT ?", (most,))
    payloads = list(takewhile(lambda payload: payload is not None, (row[0] for row in rows)))
    return payloads[::-1]


def forget_broadcasts(db: sqlite3.Connection, before: int) -> None:
    """Delete those of models before this version: no device is expected to be that far behind."""
    db.execute(
        "UPDATE model SET broadcast = NULL WHERE version < ? AND broadcast IS NOT NULL", (before,)
    )
