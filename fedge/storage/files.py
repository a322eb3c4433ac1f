"""Files written whole or not at all, and read only as they were written."""

import hashlib
import os
import tempfile
from pathlib import Path

from fedge.errors import StorageError
from fedge.storage.failures import reading, writing

_FOR_ALL, _FOR_OWNER = 0o644, 0o600


def write_file(path: str | os.PathLike[str], data: bytes, *, is_private: bool = False) -> None:
    """Replace a file in one step: after a crash it holds the old bytes or the new ones.

    Args:
        path: in a folder that exists.
        data: the whole content.
        is_private: whether only the owner may read it, like everything in a state directory;
            otherwise everybody may, whatever the umask: an exported model is no secret.

    Raises:
        StorageError: if it cannot be written.
    """
    target = Path(path)
    with writing(path):
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


def read_checked(path: Path, sha256: bytes) -> bytes:
    """The file's bytes, if they still have this SHA-256.

    Raises:
        StorageError: if it cannot be read, or holds something else.
    """
    with reading(path):
        data = path.read_bytes()
    if hashlib.sha256(data).digest() != sha256:
        raise StorageError(f"{path} is damaged: its SHA-256 is not the one in its name")
    return data


def _sync_folder(folder: Path) -> None:
    """Make the file's new name as durable as its bytes."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
