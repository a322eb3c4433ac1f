"""SQLite in WAL mode with synchronous=FULL: once a transaction returns, it is on the disk."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fedge.storage.failures import reading, writing
from fedge.storage.private import open_private

_PAGE_BYTES = 4096  # SQLite's own


def open_database(
    path: Path, *, log_bytes: int | None = None, any_thread: bool = False
) -> sqlite3.Connection:
    """A connection that commits only inside `transaction`; the file is created if missing.

    Args:
        path: the file; only its owner may read it and the files SQLite keeps next to it.
        log_bytes: the write-ahead log is checkpointed at this length and truncated to it on
            reset; None keeps SQLite's default of 4 MB.
        any_thread: whether threads may take turns; the caller ensures one at a time.

    Raises:
        StorageError: if it cannot be read or written.
    """
    os.close(open_private(path, os.O_RDWR | os.O_CREAT))  # SQLite's other files follow its mode
    with writing(path):
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=not any_thread)
        connection.execute("PRAGMA journal_mode=WAL")
        # FULL: a commit returns once the disk has it, which is what an acknowledgement promises.
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA temp_store=MEMORY")  # otherwise a sort may write to /var/tmp
        if log_bytes is not None:
            connection.execute(f"PRAGMA wal_autocheckpoint={log_bytes // _PAGE_BYTES}")
            connection.execute(f"PRAGMA journal_size_limit={log_bytes}")
    return connection


def open_to_read(path: Path) -> sqlite3.Connection:
    """A read-only connection; another process may be using the file.

    Raises:
        StorageError: if it cannot be read.
    """
    with reading(path):
        return sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Keeps everything written inside, or nothing; it is on the disk when the block ends."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # a full disk has rolled it back already
            connection.execute("ROLLBACK")
        raise
