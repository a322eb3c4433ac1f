"""The file that survives a power cut: SQLite in WAL mode with synchronous=FULL.

A transaction which returned is on the disk. Each part that keeps something here has tables of its
own; this one:

    identity(fleet, device)     one row: whose state it is
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from fedge.device.room import LOG_BYTES
from fedge.errors import ConfigError, StorageError
from fedge.storage import open_private

_PAGE_BYTES = 4096  # SQLite's own
_IDENTITY = "CREATE TABLE IF NOT EXISTS identity (fleet TEXT NOT NULL, device TEXT NOT NULL)"


class Database:
    """One device's file.

    Args:
        path: made if it is not there.
        fleet: with the device, whose file it is.
        device: see fleet.

    Raises:
        StorageError: from every method, when the disk is full or the file damaged.
        ConfigError: on construction, if it belongs to another device.
    """

    def __init__(self, path: Path, *, fleet: str, device: str) -> None:
        self._path = path
        os.close(open_private(path, os.O_RDWR | os.O_CREAT))  # SQLite's other files follow it
        with self._storing():
            # Any thread may use it; that it is one at a time is the device's to see to.
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            # The log is folded in once it is so long, and cut when it is begun again: as it comes,
            # it grows to 4 MB beside the smallest model.
            self._db.execute(f"PRAGMA wal_autocheckpoint={LOG_BYTES // _PAGE_BYTES}")
            self._db.execute(f"PRAGMA journal_size_limit={LOG_BYTES}")
            self._db.execute("PRAGMA temp_store=MEMORY")  # else a sort may write to /var/tmp
            self._db.execute(_IDENTITY)
            self._claim(fleet, device)

    def make(self, tables: str) -> None:
        """Run the SQL that makes those of a part's tables which are not there."""
        with self._storing():
            self._db.executescript(tables)

    def add_column(self, table: str, name: str, kind: str) -> None:
        """Give a table that an older release made a column that it lacks; all names are ours."""
        with self._storing():
            known = self._db.execute(f"PRAGMA table_info({table})").fetchall()
            if name not in {row[1] for row in known}:
                self._db.execute(f"ALTER TABLE {table} ADD COLUMN {name} {kind}")

    def row(self, query: str, *values: object) -> tuple | None:  # type: ignore[type-arg]
        """The first row that the query finds."""
        with self._storing(), closing(self._db.execute(query, values)) as cursor:
            row: tuple | None = cursor.fetchone()  # type: ignore[type-arg]
            return row

    def rows(self, query: str) -> list[tuple]:  # type: ignore[type-arg]
        """All rows that the query finds."""
        with self._storing():
            return self._db.execute(query).fetchall()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All that is written inside is kept, or nothing of it."""
        with self._storing():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # a full disk has rolled it back already
                    self._db.execute("ROLLBACK")
                raise

    def close(self) -> None:
        with self._storing():
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

    @contextmanager
    def _storing(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", None)
            reason = "the disk is full" if code == sqlite3.SQLITE_FULL else str(error)
            raise StorageError(f"cannot keep results in {self._path}: {reason}") from error
