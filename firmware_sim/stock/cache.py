"""The folder of downloads and builds, shared by all processes of a user.

A folder in it is either complete or absent: it is built under another name and then renamed. If
two processes want the same one, one builds it while the other waits, and both use it.
"""

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_UNUSED_S = 7 * 86_400  # unused this long, a folder goes when a newer one of its name is built


def home() -> Path:
    """The cache: $FEDGE_EMULATION_CACHE, or fedge/emulation in the user's cache."""
    named = os.environ.get("FEDGE_EMULATION_CACHE")
    if named:
        return Path(named)
    caches = os.environ.get("XDG_CACHE_HOME")
    return (Path(caches) if caches else Path.home() / ".cache") / "fedge" / "emulation"


def key(*parts: object) -> str:
    """Twelve characters that identify these values, which must have a JSON form."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]


def made(name: str, key: str, make: Callable[[Path], None]) -> Path:
    """The folder `name/key`, built on first use.

    Args:
        name: what it is; a folder in the cache.
        key: identifies everything its content depends on.
        make: fills an empty folder. If it fails, nothing is left behind.
    """
    folder = home() / name / key
    if not folder.is_dir():
        with locked(f"{name}-{key}"):
            if not folder.is_dir():  # nobody else built it while we waited
                folder.parent.mkdir(parents=True, exist_ok=True)
                with _unfinished(folder) as half:
                    make(half)
                    half.rename(folder)
                _forget_unused(folder.parent)
    with suppress(PermissionError):  # a read-only cache
        os.utime(folder)
    return folder


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Keeps other processes away from `name`; the lock ends with its process."""
    locks = home() / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    with (locks / name.replace("/", "-")).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _unfinished(folder: Path) -> Iterator[Path]:
    """An empty folder next to this one; remains of a killed process are removed."""
    for left in folder.parent.glob(f".{folder.name}.*"):
        shutil.rmtree(left, ignore_errors=True)
    half = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    half.chmod(0o755)
    try:
        yield half
    finally:
        if half.exists():
            shutil.rmtree(half)


def _forget_unused(folder: Path) -> None:
    """Deletes what has long been unused: sources change often, and every change is built."""
    oldest = time.time() - _UNUSED_S  # noqa: TID251 - file times use this clock
    with locked("forget"):
        for unused in [path for path in folder.iterdir() if _is_older(path, oldest)]:
            gone = folder / f".{unused.name.strip('.')}.gone"
            unused.rename(gone)  # in one step, for processes that check whether it exists
            shutil.rmtree(gone)


def _is_older(path: Path, moment: float) -> bool:
    try:
        return path.stat().st_mtime < moment
    except FileNotFoundError:  # somebody has just renamed it to its final name
        return False
