"""The table of what each device has sent so far, for rules that go by it."""

import sqlite3
from collections.abc import Iterable

from fedge.types import DeviceId

HISTORY = """
    CREATE TABLE history (
        id INTEGER PRIMARY KEY,
        device TEXT NOT NULL UNIQUE,
        total BLOB NOT NULL                 -- sum of its counted deltas: float32, little-endian
    ) STRICT
    """


def write_history(db: sqlite3.Connection, totals: Iterable[tuple[DeviceId, bytes]]) -> None:
    """Replace the sums of these devices; the caller's transaction makes them durable."""
    db.executemany(
        "INSERT INTO history (device, total) VALUES (?, ?) "
        "ON CONFLICT (device) DO UPDATE SET total = excluded.total",
        totals,
    )


def read_history(
    db: sqlite3.Connection, device: DeviceId, start: int, size_bytes: int
) -> bytes | None:
    """So many bytes of a device's sum; None if it has none."""
    row = db.execute("SELECT id FROM history WHERE device = ?", (device,)).fetchone()
    if row is None:
        return None
    with db.blobopen("history", "total", row[0], readonly=True) as total:
        total.seek(start)
        return total.read(size_bytes)
