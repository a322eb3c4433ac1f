"""Python packages for other machines from the package index, pinned by version and hash."""

import re
import sys
from pathlib import Path

from firmware_sim.boards import System
from firmware_sim.errors import ArchiveError, ProgramError
from firmware_sim.stock import cache, faults, programs
from firmware_sim.stock.digest import sha256
from firmware_sim.stock.item import Item, Tell

_RECIPE = 1
LOCKS = Path(__file__).parent / "locks"
_PIN = re.compile(r"^(\S+)==(\S+) --hash=sha256:([0-9a-f]{64})$", re.MULTILINE)
# pip matches a platform by name only, though a newer glibc runs wheels for an older one.
_GLIBC = ("_2_28", "_2_27", "_2_26", "_2_17", "2014")


def packages(system: System, tell: Tell = print) -> Path:
    """A folder with all of a system's third-party packages that do not come from Debian.

    Raises:
        ArchiveError: if the index does not answer.
        EmulationError: if one is missing, or does not match the lock file.
    """
    return item(system).folder(tell)


def item(system: System) -> Item:
    """What `packages` installs into a folder."""
    lock = LOCKS / f"{system.machine}.txt"
    pins = {digest: f"{name} {version}" for name, version, digest in _PIN.findall(lock.read_text())}

    def make(folder: Path, tell: Tell) -> None:
        wheels = cache.home() / "wheels" / system.machine
        with cache.locked(f"wheels-{system.machine}"):
            _fetch(wheels, lock, system, pins, tell)
            _install(wheels, lock, system, folder)

    key = cache.key(_RECIPE, sorted(pins), system.python)
    return Item(f"Python packages for {system.machine}", f"packages/{system.name}", key, make)


def _fetch(wheels: Path, lock: Path, system: System, pins: dict[str, str], tell: Tell) -> None:
    wheels.mkdir(parents=True, exist_ok=True)
    for path in sorted(wheels.iterdir()):
        if sha256(path) not in pins:
            tell(f"{path.name} in the cache is corrupt or of another version: it is fetched again")
            path.unlink()
    if len(list(wheels.iterdir())) < len(pins):
        tell(f"fetching {', '.join(pins.values())} for {system.machine}")
        what = f"Python packages for {system.machine}"
        pip_download(what, "--dest", wheels, *_for(system), "--requirement", lock)


def pip_download(what: str, *words: str | Path) -> None:
    """Download through pip's configured index, checking each file's hash against a lock.

    Raises:
        ArchiveError: if the index does not answer.
        ProgramError: if it lacks the file, or has one with another hash.
    """
    try:
        _pip("download", *words)
    except ProgramError as error:
        reason = faults.of_pip(error.said)
        if reason is None:
            raise
        raise ArchiveError(what, reason) from None


def _install(wheels: Path, lock: Path, system: System, folder: Path) -> None:
    from_cache: list[str | Path] = ["--no-index", "--find-links", wheels, "--requirement", lock]
    _pip("install", "--no-compile", "--target", folder, *_for(system), *from_cache)


def _for(system: System) -> list[str]:
    names = [f"manylinux{glibc}_{system.machine}" for glibc in _GLIBC]
    platforms = [word for name in names for word in ("--platform", name)]
    return [*platforms, "--python-version", system.python, "--only-binary=:all:"]


def _pip(verb: str, *words: str | Path) -> None:
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", verb]
    programs.run([*pip, "--no-deps", "--require-hashes", *words])
