"""The tables of devices and of quarantine; the caller owns the transaction."""

import sqlite3
from collections.abc import Iterable, Iterator

from fedge.aggregator.state.records import MARKS, Quarantine, Score, Verdicts
from fedge.types import DeviceId

MOST_DEVICES = 100_000  # rows; beyond that, those not seen for the longest time are forgotten
LONGEST = 62  # rounds whose suspicion is remembered: bits of SQLite's signed integers

_COUNTS = ", ".join(f"n_{mark}" for mark in MARKS)
_ADD = (
    f"INSERT INTO device (device, round, norm, cosine, loss, suspect, n_rounds, {_COUNTS}) "  # noqa: S608 - our own names
    f"VALUES (?, ?, ?, ?, ?, ?, 1{', ?' * len(MARKS)}) ON CONFLICT (device) DO UPDATE SET "
    "round = excluded.round, norm = excluded.norm, cosine = excluded.cosine, "
    "loss = excluded.loss, n_rounds = n_rounds + 1, "
    f"suspect = ((suspect << 1) | excluded.suspect) & {2**LONGEST - 1}, "
    + ", ".join(f"n_{mark} = n_{mark} + excluded.n_{mark}" for mark in MARKS)
)
_QUARANTINE = "SELECT device, is_out, made_by, round, since, reason, n_clean FROM quarantine"


def read_quarantine(db: sqlite3.Connection) -> dict[DeviceId, Quarantine]:
    """Every decision, by device."""
    return {
        DeviceId(device): Quarantine(
            device=DeviceId(device),
            is_out=bool(is_out),
            by=by,
            round=round_,
            since=since,
            reason=reason,
            n_clean=n_clean,
        )
        for device, is_out, by, round_, since, reason, n_clean in db.execute(
            f"{_QUARANTINE} ORDER BY device"
        )
    }


def read_suspicion(db: sqlite3.Connection, devices: Iterable[DeviceId]) -> dict[DeviceId, int]:
    """The bits of these devices, as far as they are known."""
    found = {}
    for device in devices:
        row = db.execute("SELECT suspect FROM device WHERE device = ?", (device,)).fetchone()
        if row is not None:
            found[device] = int(row[0])
    return found


def count_devices(db: sqlite3.Connection) -> int:
    """How many devices are known."""
    (n,) = db.execute("SELECT count(*) FROM device").fetchone()
    return int(n)


def write_verdicts(db: sqlite3.Connection, verdicts: Verdicts, now: str) -> None:
    """Add a round's scores, and the rule's decisions where nobody has decided by hand."""
    db.executemany(_ADD, _rows(verdicts))
    db.executemany(
        "INSERT INTO quarantine (device, is_out, made_by, round, since, reason) "
        "VALUES (?, 1, 'rule', ?, ?, ?) ON CONFLICT DO NOTHING",
        ((device, verdicts.round, now, why) for device, why in verdicts.begun.items()),
    )
    db.executemany(
        "UPDATE quarantine SET n_clean = ? WHERE device = ? AND made_by = 'rule'",
        ((n_clean, device) for device, n_clean in verdicts.clean.items()),
    )
    ended = [(device,) for device in sorted(verdicts.ended)]
    db.executemany("DELETE FROM quarantine WHERE device = ? AND made_by = 'rule'", ended)
    db.executemany("UPDATE device SET suspect = 0 WHERE device = ?", ended)
    n_too_many = count_devices(db) - MOST_DEVICES
    if n_too_many > 0:
        db.execute(
            "DELETE FROM device WHERE device IN "
            "(SELECT device FROM device ORDER BY round, device LIMIT ?)",
            (n_too_many,),
        )


def put_quarantine(db: sqlite3.Connection, decision: Quarantine) -> None:
    """A decision by hand, in place of any other about the device."""
    db.execute(
        "INSERT INTO quarantine (device, is_out, made_by, round, since, reason) "
        "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (device) DO UPDATE SET is_out = excluded.is_out, "
        "made_by = excluded.made_by, round = excluded.round, since = excluded.since, "
        "reason = excluded.reason, n_clean = 0",
        (
            decision.device,
            decision.is_out,
            decision.by,
            decision.round,
            decision.since,
            decision.reason,
        ),
    )


def forget_quarantine(db: sqlite3.Connection, device: DeviceId) -> None:
    """Nobody has decided anything about the device; suspicion begins anew."""
    db.execute("DELETE FROM quarantine WHERE device = ?", (device,))
    db.execute("UPDATE device SET suspect = 0 WHERE device = ?", (device,))


def _rows(verdicts: Verdicts) -> Iterator[tuple[object, ...]]:
    for score in verdicts.scores:
        yield (
            *(score.device, verdicts.round, score.norm, score.cosine, score.loss),
            "suspect" in score.marks,
            *(mark in score.marks for mark in MARKS),
        )


def read_scores(db: sqlite3.Connection) -> Iterator[tuple[Score, dict[str, int]]]:
    """Each known device's last score, its marks left out, and its counts by name."""
    rows = db.execute(
        f"SELECT device, norm, cosine, loss, round, n_rounds, {_COUNTS} FROM device ORDER BY device"  # noqa: S608 - our own names
    )
    names = ("round", "n_rounds", *(f"n_{mark}" for mark in MARKS))
    for device, norm, cosine, loss, *counts in rows:
        score = Score(device=DeviceId(device), norm=norm, cosine=cosine, loss=loss)
        yield score, dict(zip(names, counts, strict=True))
