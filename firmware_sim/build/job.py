"""The disk of one job: its folder, fedge, and the command that starts the program.

/files      the job's folder
/fedge      fedge, unpacked from its wheel
/run.sh     run by `guest_init.sh`, where the disk is /job
"""

import shlex
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from firmware_sim.build.base import SITE
from firmware_sim.build.disk import make_ext4, read_ext4

LOG = "program.log"
OURS = ".board"  # in a job's folder: the disk, and the machine's output
_SPARE_MB = 192  # space for what the program writes

# The program's whole environment.
_ENVIRONMENT = {
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "PYTHONPATH": f"/job/fedge:{SITE}",
    "PYTHONHASHSEED": "0",
    "PYTHONUNBUFFERED": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "NO_COLOR": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "ORT_DISABLE_TELEMETRY": "1",
}


def job_disk(
    image: Path,
    fedge: Path,
    words: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    *,
    size_mb: int | None = None,
) -> None:
    """Create the image of a job.

    Args:
        image: the file to create.
        fedge: the unpacked package for the board's processor.
        words: the arguments of `python3`.
        folder: the job's; program.log and .board are not copied.
        environment: in addition to what every program sees.
        size_mb: of the whole disk; None leaves 192 MB free.
    """
    with tempfile.TemporaryDirectory(dir=image.parent) as temporary:
        whole = Path(temporary)
        shutil.copytree(folder, whole / "files", ignore=shutil.ignore_patterns(LOG, OURS))
        shutil.copytree(fedge, whole / "fedge")
        (whole / "run.sh").write_text(_script(words, environment))
        if size_mb is None:
            used = sum(path.lstat().st_size for path in whole.rglob("*"))
            size_mb = int(used * 1.2) // 2**20 + _SPARE_MB
        make_ext4(image, whole, label="fedge-job", size_mb=size_mb)


def fetch_job(image: Path, folder: Path) -> None:
    """Update the job's folder from the disk, which must not be in use."""
    with tempfile.TemporaryDirectory(dir=image.parent) as temporary:
        read_ext4(image, "/files", Path(temporary))
        there = Path(temporary) / "files"
        for path in folder.iterdir():
            if path.name not in (LOG, OURS):
                _remove(path)
        shutil.copytree(there, folder, dirs_exist_ok=True, symlinks=True)


def _script(words: Sequence[str], environment: Mapping[str, str]) -> str:
    lines = [
        f"export {name}={shlex.quote(value)}"
        for name, value in {**_ENVIRONMENT, **environment}.items()
    ]
    return "\n".join([*lines, "cd /job/files", f"exec /usr/bin/python3 {shlex.join(words)}", ""])


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
