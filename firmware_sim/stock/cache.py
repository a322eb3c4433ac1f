"""The folder of what was downloaded and built, shared by all processes of a user.

A folder in it is either whole or not there: it is made under another name and renamed. Two
processes that want the same one wait for each other; one makes it, both use it.
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

_UNUSED_S = 7 * 86_400  # after this a folder makes room for a newer one of the same name


def home() -> Path:
    """The cache: $FEDGE_EMULATION_CACHE, or fedge/emulation in the user's cache."""
    named = os.environ.get("FEDGE_EMULATION_CACHE")
    if named:
        return Path(named)
    caches = os.environ.get("XDG_CACHE_HOME")
    return (Path(caches) if caches else Path.home() / ".cache") / "fedge" / "emulation"


def key(*parts: object) -> str:
    """Twelve letters that stand for these values, which must have a JSON form."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]


def made(name: str, key: str, make: Callable[[Path], None]) -> Path:
    """The folder `name/key`, made the first time.

    Args:
        name: what it is; a folder of the cache.
        key: stands for everything that its content depends on.
        make: fills an empty folder. If it fails, nothing is left.
    """
    folder = home() / name / key
    if not folder.is_dir():
        with locked(f"{name}-{key}"):
            if not folder.is_dir():  # nobody else made it while we waited
                folder.parent.mkdir(parents=True, exist_ok=True)
                with _unfinished(folder) as half:
                    make(half)
                    half.rename(folder)
                _forget_unused(folder.parent)
    with suppress(PermissionError):  # a cache that others may only read
        os.utime(folder)
    return folder


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Holds other processes off what is called `name`; a killed process frees it."""
    locks = home() / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    with (locks / name.replace("/", "-")).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _unfinished(folder: Path) -> Iterator[Path]:
    """An empty folder beside this one; what a killed process left there is cleared away."""
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
    """Deletes what was not used for long: sources change often, and every change is built."""
    oldest = time.time() - _UNUSED_S  # noqa: TID251 - files' times are of this clock
    with locked("forget"):
        for unused in [path for path in folder.iterdir() if _is_older(path, oldest)]:
            gone = folder / f".{unused.name.strip('.')}.gone"
            unused.rename(gone)  # at once, for those who look whether it is there
            shutil.rmtree(gone)


def _is_older(path: Path, moment: float) -> bool:
    try:
        return path.stat().st_mtime < moment
    except FileNotFoundError:  # somebody has just finished it under its own name
        return False
