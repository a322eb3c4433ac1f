"""How much disk space a device needs, and whether it is available."""

import shutil
from pathlib import Path

from fedge.artifact import Artifact
from fedge.errors import StorageError
from fedge.storage import reading

# The database's write-ahead log may hold this much of small commits before it is checkpointed.
LOG_BYTES = 256 << 10
_FIXED_BYTES = LOG_BYTES + (256 << 10)  # the rest: the log's index, tables, folders, whole blocks
_MODELS = 3  # the last two, and one that is being written
_RESIDUALS = 2  # in the database, and in its log while it is being replaced
_OWN = 4  # an algorithm's vector and its last change, each as often as the residual


def needed_bytes(
    artifact_bytes: int, n_params: int, n_trainable: int, *, keeps_vector: bool = False
) -> int:
    """Size of a state directory: the artifact, three models, the residual twice, and 512 KiB.

    Parameters take four bytes each. An algorithm that keeps a vector on the device takes four more
    of the residual's size. An update waiting for its answer takes another twice its own size,
    which is little with a sparse codec.
    """
    residual = 4 * n_trainable * 65 // 64  # pages and frames have headers
    vectors = _RESIDUALS + (_OWN if keeps_vector else 0)
    return _FIXED_BYTES + artifact_bytes + _MODELS * 4 * n_params + vectors * residual


def check_start(state_dir: Path) -> None:
    """Refuse to start if there is no room even for the database.

    Raises:
        StorageError: with what is needed and what there is.
    """
    _check(state_dir, _FIXED_BYTES, "a device needs")


def check_artifact(
    state_dir: Path, artifact: Artifact, size_bytes: int, *, keeps_vector: bool = False
) -> None:
    """Refuse an artifact that the disk is too small for, before its first round begins.

    Raises:
        StorageError: with what is needed and what there is.
    """
    needed = needed_bytes(
        size_bytes, artifact.n_params, artifact.n_trainable, keeps_vector=keeps_vector
    )
    _check(state_dir, needed, f"a model of {artifact.n_params} parameters needs")


def _check(state_dir: Path, needed: int, who: str) -> None:
    with reading(state_dir):
        free, used = shutil.disk_usage(state_dir).free, _used_bytes(state_dir)
    if free + used < needed:
        raise StorageError(
            f"the disk of {state_dir} is too small: {who} {_mib(needed)}, and there are "
            f"{_mib(free + used)}, {_mib(used)} of them in use by the device already; "
            "make room, or give it another --state-dir"
        )


def _used_bytes(state_dir: Path) -> int:
    used = 0
    for path in state_dir.rglob("*"):
        try:
            used += path.stat().st_blocks * 512
        except FileNotFoundError:  # the database's log comes and goes
            continue
    return used


def _mib(n_bytes: int) -> str:
    return f"{n_bytes / 2**20:.2f} MiB"
