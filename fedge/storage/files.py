"""Files written whole or not at all."""

import os
import tempfile
from pathlib import Path

from fedge.errors import StorageError

_FOR_ALL, _FOR_OWNER = 0o644, 0o600


def write_file(path: str | os.PathLike[str], data: bytes, *, is_private: bool = False) -> None:
    """Replace a file in one step: after a crash it holds the old bytes or the new ones.

    Args:
        path: in a folder that is there.
        data: all of it.
        is_private: whether only the owner may read it, as all in a state directory; else
            everybody may, whatever the umask: a model that somebody exported is no secret.

    Raises:
        StorageError: if it cannot be written.
    """
    target = Path(path)
    try:
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                os.fchmod(file.fileno(), _FOR_OWNER if is_private else _FOR_ALL)
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(target)
            _sync_folder(target.parent)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}") from None


def _sync_folder(folder: Path) -> None:
    """Make the new name as durable as the bytes behind it."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
