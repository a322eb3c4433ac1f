"""The state directory: made, locked, and its failures turned into sentences.

    {state_dir}/lock                     held by the running device
    {state_dir}/outbox.sqlite3           results not yet acknowledged, residuals, the link's goodput
    {state_dir}/artifacts/{sha256}       artifacts, by content
    {state_dir}/models/{sha256}          global parameters, by content

Nothing is written outside of it. What trained on private data is in it, so
only the owner may read it: folders have mode 0700, files 0600.
"""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fedge.errors import StorageError
from fedge.storage import check_private, make_private, open_private


@contextmanager
def storing(path: Path) -> Iterator[None]:
    """Whatever the operating system refuses inside becomes a StorageError that names the path."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        reason = "the disk is full" if full else (error.strerror or str(error))
        raise StorageError(f"cannot write {path}: {reason}") from error


class StateLock:
    """One process on a state directory: an advisory lock that ends with the process.

    Raises:
        StorageError: on construction, if the directory cannot be written, another process
            holds the lock, others may read anything in it, or a symbolic link is in it.
    """

    def __init__(self, state_dir: Path) -> None:
        make_private(state_dir)
        check_private(state_dir)
        self._file = os.fdopen(open_private(state_dir / "lock", os.O_RDWR | os.O_CREAT), "ab")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise StorageError(
                f"{state_dir} is in use by another running device; "
                "give each device its own --state-dir"
            ) from error

    def release(self) -> None:
        """Let another process have the directory."""
        self._file.close()
