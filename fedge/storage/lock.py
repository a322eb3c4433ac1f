"""One process per state directory."""

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from fedge.errors import StorageError
from fedge.storage.private import open_private


class Lock:
    """An advisory lock on `{folder}/lock`, released when the process ends, however it ends.

    Args:
        folder: a state directory, which must exist.
        owner: who works in it, in one word, for the error that turns a second one away.

    Raises:
        StorageError: if the file cannot be written, or another process holds the lock.
    """

    def __init__(self, folder: Path, owner: str) -> None:
        self._handle: int | None = open_private(folder / "lock", os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self.release()
            raise StorageError(
                f"{folder} is in use by another running {owner}; "
                f"give each {owner} its own --state-dir"
            ) from error

    def release(self) -> None:
        """Let another process have the directory; releasing twice is harmless."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()
