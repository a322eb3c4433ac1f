"""Artifacts from disk: the one place in the core that reads files."""

import os
from pathlib import Path

from fedge.artifact.artifact import Artifact
from fedge.artifact.container import MAX_FILE
from fedge.errors import ArtifactError, ConfigError


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
    """The bytes of a file of at most `limit` bytes."""
    try:
        with Path(path).open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > limit:
                raise ArtifactError(str(path), expected=f"at most {limit} bytes", found=size)
            return file.read(size)  # not `limit`: Python allocates as much as it is asked to read
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
