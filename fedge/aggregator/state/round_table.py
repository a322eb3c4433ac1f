"""The tables of rounds and of refusals while they were open; the caller owns the transaction."""

import json
import sqlite3
from collections.abc import Mapping
from typing import Any

from fedge.aggregator.state.records import RoundRecord, Tally
from fedge.types import DeviceId, RoundId

BEFORE_FIRST_ROUND = -1


def insert_round(db: sqlite3.Connection, record: RoundRecord) -> None:
    """Add a round that is open from now on."""
    db.execute(
        "INSERT INTO round (round, kind, manifest, expected, quorum, opened_at) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        (
            record.round,
            record.kind,
            record.manifest,
            json.dumps(sorted(record.expected)),
            record.quorum,
            record.opened_at,
        ),
    )


def read_open(db: sqlite3.Connection) -> RoundRecord | None:
    """The open round, if there is one."""
    row = db.execute(
        "SELECT round, kind, manifest, expected, quorum, opened_at, uplink_bytes, "
        "downlink_bytes, spent_s FROM round WHERE closed_at IS NULL"
    ).fetchone()
    if row is None:
        return None
    round_, kind, manifest, expected, quorum, opened_at, uplink, downlink, spent_s = row
    return RoundRecord(
        round=RoundId(round_),
        kind=kind,
        manifest=manifest,
        expected=frozenset(map(DeviceId, json.loads(expected))),
        quorum=quorum,
        opened_at=opened_at,
        uplink_bytes=uplink,
        downlink_bytes=downlink,
        spent_s=spent_s,
    )


def end_round(
    db: sqlite3.Connection,
    round_: RoundId | None,
    closed_at: str,
    report: Mapping[str, Any] | None = None,
) -> None:
    """Close a round; without a report, it made no model."""
    text = None if report is None else json.dumps(report)
    db.execute(
        "UPDATE round SET closed_at = ?, report = ? WHERE round = ?", (closed_at, text, round_)
    )


def count_trained(db: sqlite3.Connection) -> int:
    """How many training rounds have closed, whether or not the model changed."""
    (n_rounds,) = db.execute(
        "SELECT count(*) FROM round WHERE kind = 'training' AND report IS NOT NULL"
    ).fetchone()
    return int(n_rounds)


def read_reports(db: sqlite3.Connection) -> list[dict[str, Any]]:
    """The event line of every closed round, oldest first."""
    rows = db.execute(
        "SELECT closed_at, report FROM round WHERE report IS NOT NULL ORDER BY round"
    ).fetchall()
    return [{"time": closed_at, **json.loads(report)} for closed_at, report in rows]


def read_medians(db: sqlite3.Connection, name: str, n: int) -> list[Any]:
    """This field of the last n training rounds, oldest first; rounds without one are left out."""
    rows = db.execute(
        "SELECT report FROM round WHERE report IS NOT NULL AND kind = 'training' "
        "ORDER BY round DESC LIMIT ?",
        (n,),
    ).fetchall()
    found = [json.loads(report).get(name) for (report,) in reversed(rows)]
    return [median for median in found if median is not None]


def add_tally(db: sqlite3.Connection, tally: Tally) -> None:
    """Add counts to the open round; refusals between two rounds go to the one before."""
    (latest,) = db.execute("SELECT max(round) FROM round").fetchone()
    round_ = BEFORE_FIRST_ROUND if latest is None else latest
    db.execute(
        "UPDATE round SET uplink_bytes = uplink_bytes + ?, downlink_bytes = downlink_bytes + ? "
        "WHERE closed_at IS NULL",
        (tally.uplink_bytes, tally.downlink_bytes),
    )
    db.executemany(
        "INSERT INTO refusal (round, reason, n) VALUES (?, ?, ?) "
        "ON CONFLICT DO UPDATE SET n = n + excluded.n",
        ((round_, *item) for item in tally.refusals.items()),
    )


def read_refusals(db: sqlite3.Connection, round_: RoundId) -> dict[str, int]:
    """How many updates were refused while this round was open, by reason."""
    rows = db.execute("SELECT reason, n FROM refusal WHERE round = ?", (round_,))
    return dict(rows.fetchall())
