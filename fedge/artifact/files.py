"""Artifacts on disk: the one place of the core that opens files."""

import os
import tempfile
from pathlib import Path

from fedge.artifact.artifact import Artifact
from fedge.artifact.container import MAX_FILE
from fedge.errors import ArtifactError, ConfigError, StorageError


def load_artifact(path_or_bytes: str | os.PathLike[str] | bytes) -> Artifact:
    """Reads a `.fedge` file, or its bytes.

    Raises:
        ConfigError: if there is no such file, or it cannot be read.
        ArtifactError: if it is not an intact artifact of this version.
    """
    if isinstance(path_or_bytes, bytes):
        return Artifact.from_bytes(path_or_bytes)
    return Artifact.from_bytes(read_file(path_or_bytes, MAX_FILE))


def read_file(path: str | os.PathLike[str], limit: int) -> bytes:
    """The bytes of a file that may have at most `limit` of them."""
    try:
        with Path(path).open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > limit:
                raise ArtifactError(str(path), expected=f"at most {limit} bytes", found=size)
            return file.read(size)  # not the limit: Python makes room for all that it is asked for
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None


def write_file(path: str | os.PathLike[str], data: bytes) -> None:
    """Replaces a file in one step: after a crash it holds the old bytes or the new ones."""
    target = Path(path)
    try:
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).chmod(0o644)  # mkstemp gives 0600, and a model is no secret
            Path(temporary).replace(target)
            _sync_folder(target.parent)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}") from None


def _sync_folder(folder: Path) -> None:
    """Makes the new name as durable as the bytes behind it."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
