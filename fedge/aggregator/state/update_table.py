"""The tables of updates: appended to while they are in no model, sorted once they are in one.

Updates are appended, and the payloads of a commit are stored one after another in one value: no
index grows and no page is searched for while devices wait for their answer.
"""

import sqlite3
from collections import OrderedDict
from collections.abc import Generator, Iterable, Iterator

from fedge.aggregator.state.records import Member, UpdateRecord
from fedge.types import DeviceId, RoundId

_GROUP_BYTES = 2**20  # of payloads stored together; a larger one is stored alone
_MOST_OPEN = 512  # groups kept open while reading


def insert_updates(db: sqlite3.Connection, updates: Iterable[UpdateRecord], now: str) -> None:
    """Append updates; the caller's transaction makes them durable."""
    for group in _groups(updates):
        payloads = b"".join(update.payload for update in group)
        row = db.execute(
            "INSERT INTO payload_group (accepted_at, payloads) VALUES (?, ?)", (now, payloads)
        )
        db.executemany(
            "INSERT INTO taken (round, device, nonce, n_examples, n_steps, loss, size_bytes, "
            "group_, start) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            _rows(group, row.lastrowid),
        )


def apply_updates(db: sqlite3.Connection, version: int) -> None:
    """Mark all updates that are in no model as part of this one, and delete their payloads.

    Raises:
        sqlite3.IntegrityError: if one device has two in a round.
    """
    db.execute(
        "INSERT INTO applied (round, device, nonce, n_examples, size_bytes, accepted_at, "
        "applied_in, n_steps, loss) "
        "SELECT round, device, nonce, n_examples, size_bytes, accepted_at, ?, n_steps, loss "
        "FROM taken JOIN payload_group ON payload_group.id = group_ ORDER BY round, device",
        (version,),
    )
    db.execute("DELETE FROM taken")
    db.execute("DELETE FROM payload_group")


def read_taken(db: sqlite3.Connection) -> dict[RoundId, dict[DeviceId, bytes]]:
    """Nonces of the updates that are in no model, by round."""
    found: dict[RoundId, dict[DeviceId, bytes]] = {}
    for round_, device, nonce in db.execute("SELECT round, device, nonce FROM taken"):
        found.setdefault(RoundId(round_), {})[DeviceId(device)] = nonce
    return found


def read_last(
    db: sqlite3.Connection, device: DeviceId, rounds: range
) -> tuple[RoundId, bytes] | None:
    """The last of these rounds whose model contains an update of the device, and its nonce."""
    row = db.execute(
        "SELECT applied.round, nonce FROM round CROSS JOIN applied "
        "ON applied.round = round.round AND device = ? "
        "WHERE round.round BETWEEN ? AND ? ORDER BY round.round DESC LIMIT 1",
        (device, rounds.start, rounds.stop - 1),
    ).fetchone()
    return None if row is None else (RoundId(row[0]), row[1])


def read_examples(db: sqlite3.Connection) -> dict[DeviceId, int]:
    """The number of examples of every device's last update; all rows are read."""
    rows = db.execute(
        "SELECT device, n_examples, max(round) FROM ("
        "SELECT device, n_examples, round FROM applied UNION ALL "
        "SELECT device, n_examples, round FROM taken) GROUP BY device"
    )  # of the row with the maximum, as SQLite promises
    return {DeviceId(device): n_examples for device, n_examples, _ in rows}


def read_members(db: sqlite3.Connection) -> list[Member]:
    """Members whose updates are in no model, in device order, and where their payloads are."""
    rows = db.execute(
        "SELECT device, round, n_examples, group_, start, size_bytes, n_steps, loss FROM taken"
    )
    return sorted(
        Member(DeviceId(device), RoundId(round_), *facts) for device, round_, *facts in rows
    )


def read_payloads(
    db: sqlite3.Connection, members: Iterable[Member]
) -> Generator[bytes, None, None]:
    """Their payloads in the order given, one in memory at a time."""
    groups: OrderedDict[int, sqlite3.Blob] = OrderedDict()
    try:
        for member in members:
            group = groups.get(member.group)
            if group is None:
                if len(groups) >= _MOST_OPEN:
                    groups.popitem(last=False)[1].close()
                group = db.blobopen("payload_group", "payloads", member.group, readonly=True)
                groups[member.group] = group
            group.seek(member.start)
            yield group.read(member.size_bytes)
    finally:
        for group in groups.values():
            group.close()


def _groups(updates: Iterable[UpdateRecord]) -> Iterator[list[UpdateRecord]]:
    group: list[UpdateRecord] = []
    size_bytes = 0
    for update in updates:
        if group and size_bytes + len(update.payload) > _GROUP_BYTES:
            yield group
            group, size_bytes = [], 0
        group.append(update)
        size_bytes += len(update.payload)
    if group:
        yield group


def _rows(group: list[UpdateRecord], number: int | None) -> Iterator[tuple[object, ...]]:
    start = 0
    for one in group:
        size_bytes = len(one.payload)
        yield (
            *(one.round, one.device, one.nonce, one.n_examples, one.n_steps, one.loss),
            *(size_bytes, number, start),
        )
        start += size_bytes
