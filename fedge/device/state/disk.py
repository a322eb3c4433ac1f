"""What disk a device needs, and whether it is there."""

import shutil
from pathlib import Path

from fedge.artifact import Artifact
from fedge.errors import StorageError
from fedge.storage import reading

# The database's write-ahead log may hold so much of small commits before it is folded in.
LOG_BYTES = 256 << 10
_FIXED_BYTES = LOG_BYTES + (256 << 10)  # the rest: index of the log, tables, folders, whole blocks
_MODELS = 3  # the last two, and one that is being written
_RESIDUALS = 2  # in the database, and in its log while it is being replaced


def needed_bytes(artifact_bytes: int, n_params: int, n_trainable: int) -> int:
    """Of a state directory that holds one artifact: it, three models, the residual twice, 512 KiB.

    Parameters are four bytes each. An update that waits for its answer takes twice its own
    size beside; with a sparse codec that is little.
    """
    residual = 4 * n_trainable * 65 // 64  # pages and frames have heads
    return _FIXED_BYTES + artifact_bytes + _MODELS * 4 * n_params + _RESIDUALS * residual


def check_start(state_dir: Path) -> None:
    """Refuse to start where not even the database could live.

    Raises:
        StorageError: with what is needed and what there is.
    """
    _check(state_dir, _FIXED_BYTES, "a device needs")


def check_artifact(state_dir: Path, artifact: Artifact, size_bytes: int) -> None:
    """Refuse an artifact that the disk is too small for, before the first round is begun.

    Raises:
        StorageError: with what is needed and what there is.
    """
    needed = needed_bytes(size_bytes, artifact.n_params, artifact.n_trainable)
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
