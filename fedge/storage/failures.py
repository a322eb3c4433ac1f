"""A disk's failures in one sentence: what could not be done, to which path, and why."""

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from fedge.errors import StorageError

_FULL = (errno.ENOSPC, errno.EDQUOT)
_UNREADABLE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def refusal(verb: str, path: str | os.PathLike[str], error: OSError) -> StorageError:
    """The sentence for a failed system call: `refusal("read", path, error)`."""
    reason = "the disk is full" if error.errno in _FULL else error.strerror or str(error)
    return StorageError(f"cannot {verb} {os.fspath(path)}: {reason}")


@contextmanager
def reading(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turns any failure inside into a StorageError that says "cannot read" and names the path."""
    with _failing("read", path):
        yield


@contextmanager
def writing(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turns any failure inside into a StorageError that says "cannot write" and names the path.

    For a damaged database the error says "cannot read", whatever the operation was.
    """
    with _failing("write", path):
        yield


@contextmanager
def _failing(verb: str, path: str | os.PathLike[str]) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise refusal(verb, path, error) from error
    except sqlite3.IntegrityError:
        raise  # a constraint of our own tables was violated: a bug, not the disk's fault
    except sqlite3.DatabaseError as error:
        # The primary result code is the low byte of an extended one.
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        reason = "the disk is full" if code == sqlite3.SQLITE_FULL else str(error)
        verb = "read" if code in _UNREADABLE else verb
        raise StorageError(f"cannot {verb} {os.fspath(path)}: {reason}") from error
