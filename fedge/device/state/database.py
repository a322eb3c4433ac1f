"""The file that survives a power cut: SQLite in WAL mode with synchronous=FULL.

Once a transaction returns, it is on the disk. Each part that stores something here has its own
tables; this one's:

    identity(fleet, device)     one row: whose state this is
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from fedge.device.state.disk import LOG_BYTES
from fedge.errors import ConfigError
from fedge.storage import open_database, reading, transaction, writing

_IDENTITY = "CREATE TABLE IF NOT EXISTS identity (fleet TEXT NOT NULL, device TEXT NOT NULL)"


class Database:
    """One device's file.

    Args:
        path: created if it does not exist.
        fleet: the fleet of the device that the file belongs to.
        device: the device that the file belongs to.

    Raises:
        StorageError: from every method, when the disk is full or the file damaged.
        ConfigError: on construction, if it belongs to another device.
    """

    def __init__(self, path: Path, *, fleet: str, device: str) -> None:
        self._path = path
        # Any thread may use it; the device ensures that it is one at a time.
        self._db = open_database(path, log_bytes=LOG_BYTES, any_thread=True)
        self.make(_IDENTITY)
        self._claim(fleet, device)

    def make(self, tables: str) -> None:
        """Run the SQL that creates a part's missing tables."""
        with writing(self._path):
            self._db.executescript(tables)

    def add_column(self, table: str, name: str, kind: str) -> None:
        """Add a missing column to a table created by an older release; all names are ours."""
        with writing(self._path):
            known = self._db.execute(f"PRAGMA table_info({table})").fetchall()
            if name not in {row[1] for row in known}:
                self._db.execute(f"ALTER TABLE {table} ADD COLUMN {name} {kind}")

    def row(self, query: str, *values: object) -> tuple | None:  # type: ignore[type-arg]
        """The first row of the query's result."""
        with reading(self._path), closing(self._db.execute(query, values)) as cursor:
            row: tuple | None = cursor.fetchone()  # type: ignore[type-arg]
            return row

    def rows(self, query: str) -> list[tuple]:  # type: ignore[type-arg]
        """All rows of the query's result."""
        with reading(self._path):
            return self._db.execute(query).fetchall()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Keeps everything written inside, or nothing."""
        with writing(self._path), transaction(self._db):
            yield self._db

    def close(self) -> None:
        with writing(self._path):
            self._db.close()

    def _claim(self, fleet: str, device: str) -> None:
        row = self.row("SELECT fleet, device FROM identity")
        if row is None:
            with self.transaction() as db:
                db.execute("INSERT INTO identity VALUES (?,?)", (fleet, device))
        elif row != (fleet, device):
            raise ConfigError(
                f"{self._path.parent} belongs to device {row[1]!r} of fleet {row[0]!r}, "
                f"not to {device!r} of {fleet!r}; give each device its own --state-dir"
            )
