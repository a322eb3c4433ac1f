"""SQLite as the aggregator uses it: durable at every commit, with readable errors."""

import sqlite3
from pathlib import Path

from fedge.aggregator.state.schema import FORMAT, MIGRATIONS, TABLES
from fedge.errors import StorageError
from fedge.storage import open_database, open_to_read, reading, transaction, writing

NAME = "state.sqlite3"


def connect(folder: Path) -> sqlite3.Connection:
    """The folder's database, created if it does not exist.

    Raises:
        StorageError: if it cannot be read or written, or a newer version wrote it.
    """
    path = folder / NAME
    connection = open_database(path)
    with writing(path), transaction(connection):
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


def connect_to_write(folder: Path) -> sqlite3.Connection:
    """The folder's database, which an aggregator may be using; of today's format only.

    Raises:
        StorageError: if there is none, it cannot be written, or another version wrote it.
    """
    path = _existing(folder)
    connection = open_database(path)
    with reading(path):
        (found,) = connection.execute("PRAGMA user_version").fetchone()
    if found in MIGRATIONS:
        connection.close()
        raise StorageError(
            f"{path} is of format {found}, and this release writes format {FORMAT}: start its "
            "aggregator with this release once, which brings it up to date"
        )
    if found != FORMAT:
        connection.close()
        raise _other_format(found, folder)
    return connection


def connect_to_read(folder: Path) -> sqlite3.Connection:
    """The folder's database, read-only; an aggregator may be using it.

    Raises:
        StorageError: if there is none, or an unsupported version wrote it.
    """
    path = _existing(folder)
    connection = open_to_read(path)
    with reading(path):
        (found,) = connection.execute("PRAGMA user_version").fetchone()
        if found not in MIGRATIONS and found != FORMAT:  # the tables read here never changed
            raise _other_format(found, folder)
    return connection


def _existing(folder: Path) -> Path:
    path = folder / NAME
    if not path.is_file():
        raise StorageError(f"{folder} is not the state directory of an aggregator: no {NAME} in it")
    return path


def _other_format(found: int, folder: Path) -> StorageError:
    return StorageError(
        f"{folder / NAME}: expected format {FORMAT}, found {found}; "
        "use the fedge that made it, or another --state-dir"
    )
