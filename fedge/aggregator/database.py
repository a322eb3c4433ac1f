"""SQLite as the aggregator uses it: durable at every commit, its failures turned into sentences."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fedge.aggregator.schema import FORMAT, MIGRATIONS, TABLES
from fedge.errors import StorageError
from fedge.storage import open_private

NAME = "state.sqlite3"


def connect(folder: Path) -> sqlite3.Connection:
    """The folder's database, made if it is not there.

    Raises:
        StorageError: if it cannot be read or written, or another version wrote it.
    """
    os.close(open_private(folder / NAME, os.O_RDWR | os.O_CREAT))  # SQLite's other files follow
    with mapped(folder):
        connection = sqlite3.connect(folder / NAME, isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL")
        # FULL: a commit returns when the disk has it, which is what an acknowledgement promises.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        with transaction(connection):
            (found,) = connection.execute("PRAGMA user_version").fetchone()
            if found == 0:
                for table in TABLES:
                    connection.execute(table)
                connection.execute(f"PRAGMA user_version = {FORMAT}")
                found = FORMAT
            while found in MIGRATIONS:
                for statement in MIGRATIONS[found]:
                    connection.execute(statement)
                found += 1
                connection.execute(f"PRAGMA user_version = {found}")
            if found != FORMAT:
                raise _other_format(found, folder)
    return connection


def connect_to_read(folder: Path) -> sqlite3.Connection:
    """The folder's database, for reading only; an aggregator may be at work on it.

    Raises:
        StorageError: if there is none, or another version wrote it.
    """
    path = folder / NAME
    if not path.is_file():
        raise StorageError(f"{folder} is not the state directory of an aggregator: no {NAME} in it")
    with mapped(folder):
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
        (found,) = connection.execute("PRAGMA user_version").fetchone()
        if found not in MIGRATIONS and found != FORMAT:  # what is read here never changed
            raise _other_format(found, folder)
    return connection


def _other_format(found: int, folder: Path) -> StorageError:
    return StorageError(
        f"{folder / NAME}: expected format {FORMAT}, found {found}; "
        "use the fedge that made it, or another --state-dir"
    )


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All of it or nothing; on the disk when the block is left."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def mapped(folder: Path) -> Iterator[None]:
    """Database failures inside become a StorageError that names the folder."""
    try:
        yield
    except sqlite3.IntegrityError:
        raise  # breaks a law of ours: a bug, not the disk
    except sqlite3.DatabaseError as error:
        text = str(error)
        reason = "the disk is full" if "is full" in text else text
        raise StorageError(f"cannot write {folder / NAME}: {reason}") from error
