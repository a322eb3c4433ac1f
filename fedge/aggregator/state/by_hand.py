"""Decisions by hand about devices, in a state directory whose aggregator may be running.

SQLite lets a second process write between two transactions of the aggregator, so its lock is not
needed. The aggregator reads the decisions whenever it closes a round.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from fedge.aggregator.state import database
from fedge.aggregator.state.records import Quarantine, Score
from fedge.aggregator.state.verdict_table import (
    forget_quarantine,
    put_quarantine,
    read_quarantine,
    read_scores,
)
from fedge.storage import reading, transaction, writing
from fedge.types import DeviceId


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What is known about a device.

    Attributes:
        decision: about its quarantine; None if there is none.
        score: in the last round that compared it with others; None if none has.
        counts: rounds that did, and in how many of them it was what, by column name.
    """

    device: DeviceId
    decision: Quarantine | None
    score: Score | None
    counts: dict[str, int]


def standings(folder: Path) -> list[Standing]:
    """Every device that was ever compared with others or decided about, in order.

    Raises:
        StorageError: if the folder is not an aggregator's, or cannot be read.
    """
    with _using(folder) as db:
        decisions = read_quarantine(db)
        scores = {score.device: (score, counts) for score, counts in read_scores(db)}
    found = []
    for device in sorted(decisions.keys() | scores.keys()):
        score, counts = scores.get(device, (None, {}))
        found.append(
            Standing(
                device=device, decision=decisions.get(device), score=score, counts=dict(counts)
            )
        )
    return found


def decide_by_hand(
    folder: Path, device: DeviceId, *, is_out: bool, reason: str, since: str
) -> Quarantine:
    """Put a device in quarantine or let it count, whatever the rule says; durable on return.

    Raises:
        StorageError: if the folder is not an aggregator's, or cannot be written.
    """
    with _using(folder) as db, transaction(db):
        (latest,) = db.execute("SELECT coalesce(max(round), -1) FROM round").fetchone()
        decision = Quarantine(
            device=device, is_out=is_out, by="hand", round=latest, since=since, reason=reason
        )
        put_quarantine(db, decision)
    return decision


def leave_to_rule(folder: Path, device: DeviceId) -> Quarantine | None:
    """Forget what was decided about a device; what that was, if anything.

    Raises:
        StorageError: if the folder is not an aggregator's, or cannot be written.
    """
    with _using(folder) as db, transaction(db):
        found = read_quarantine(db).get(device)
        if found is not None:
            forget_quarantine(db, device)
    return found


@contextmanager
def _using(folder: Path) -> Iterator[sqlite3.Connection]:
    path = folder / database.NAME
    with closing(database.connect_to_write(folder)) as db, writing(path), reading(path):
        yield db
