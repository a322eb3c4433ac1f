"""An error says what could not be done: a failure to read is not a failure to write."""

import errno
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from fedge.errors import StorageError
from fedge.storage import open_database, open_to_read, reading, transaction, writing


def test_the_error_names_the_operation_that_failed(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    with pytest.raises(StorageError, match="cannot read"), reading(missing):
        missing.read_bytes()
    with (
        pytest.raises(StorageError, match="cannot write"),
        writing(missing / "x"),
    ):
        (missing / "x").write_bytes(b"")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_reported_as_such(number: int) -> None:
    with pytest.raises(StorageError) as caught, writing("/state"):
        raise OSError(number, "whatever the system calls it")
    assert str(caught.value) == "cannot write /state: the disk is full"


def test_a_failure_without_a_system_message_keeps_its_own() -> None:
    with pytest.raises(StorageError, match="cannot read /state: odd"), reading("/state"):
        raise OSError("odd")


def read(db: sqlite3.Connection, path: Path) -> None:
    with reading(path):
        db.execute("SELECT 1 FROM sqlite_master")


def test_a_damaged_database_cannot_be_read_whatever_the_operation(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite3"
    path.write_bytes(b"no database, but longer than a header of one is" * 30)
    path.chmod(0o600)
    with pytest.raises(StorageError, match=r"cannot read .*state\.sqlite3: file is not a database"):
        open_database(path)
    with closing(open_to_read(path)) as db, pytest.raises(StorageError, match="cannot read"):
        read(db, path)


def test_a_database_that_cannot_grow_is_reported_as_a_full_disk(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite3"
    with closing(open_database(path)) as db:
        db.execute("CREATE TABLE t (x BLOB)")
        db.execute("PRAGMA max_page_count = 3")
        with pytest.raises(StorageError) as caught, writing(path), transaction(db):
            db.execute("INSERT INTO t VALUES (zeroblob(100000))")
        assert str(caught.value) == f"cannot write {path}: the disk is full"
        assert db.execute("SELECT count(*) FROM t").fetchone() == (0,)


def test_a_violated_constraint_of_our_own_stays_a_bug(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite3"
    with closing(open_database(path)) as db:
        db.execute("CREATE TABLE t (x UNIQUE)")
        with pytest.raises(sqlite3.IntegrityError), writing(path), transaction(db):
            db.execute("INSERT INTO t VALUES (1), (1)")


def test_a_read_only_connection_cannot_write(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite3"
    open_database(path).close()
    with closing(open_to_read(path)) as db, pytest.raises(StorageError) as caught, writing(path):
        db.execute("CREATE TABLE t (x)")
    assert str(caught.value).startswith(f"cannot write {path}: attempt to write a readonly")
