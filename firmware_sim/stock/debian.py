"""Debian packages of other architectures, fetched and unpacked without privileges.

apt works in its own environment below the cache: its own lists, no installed packages, and another
architecture. So it resolves dependencies, checks signatures and resumes downloads as usual, and
knows nothing about this machine but its mirror and its proxies.
"""

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from firmware_sim.errors import ArchiveError, EmulationError, ProgramError
from firmware_sim.stock import cache, faults, programs
from firmware_sim.stock.digest import drop_corrupt
from firmware_sim.stock.mirror import mirror

Tell = Callable[[str], None]

_URI = re.compile(r"^'[^']+' (\S+) (\d+) SHA256:([0-9a-f]{64})$", re.MULTILINE)
_MERGED = ("bin", "lib", "sbin")  # links into usr/, which packages rely on since trixie


def download(
    architecture: str,
    suite: str,
    packages: Sequence[str],
    *,
    dependencies: bool = True,
    tell: Tell = print,
) -> list[Path]:
    """The files of these packages and all their dependencies, each with the hash Debian signed.

    Raises:
        ArchiveError: if the mirror cannot be reached, or does not deliver what its lists name.
        EmulationError: if a package does not exist.
    """
    with _blaming_the_archive(architecture, suite):
        world = _world(architecture, suite)
        verb = ["install", "--no-install-recommends"] if dependencies else ["download"]
        with cache.locked("debs"):  # one folder for all environments
            try:
                return _download(world, verb, packages, tell)
            except EmulationError:
                tell(f"fetching the lists of {suite} {architecture} again")
                with _newer_lists(world):  # the old ones may name packages that are gone
                    return _download(world, verb, packages, tell)


def extract(debs: Sequence[Path], folder: Path) -> None:
    """Unpack packages on top of each other. Their scripts do not run; `rootfs` makes up for that.

    Raises:
        EmulationError: if one cannot be unpacked.
    """
    for name in _MERGED:
        (folder / "usr" / name).mkdir(parents=True, exist_ok=True)
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"usr/{name}")
    untar = [programs.need("tar"), "-x", "-C", str(folder), "--keep-directory-symlink"]
    untar += ["--no-same-owner", "--no-same-permissions"]
    for deb in debs:
        unpack = [programs.need("dpkg-deb"), "--fsys-tarfile", str(deb)]
        with subprocess.Popen(unpack, stdout=subprocess.PIPE) as tarfile:
            done = subprocess.run(untar, stdin=tarfile.stdout, check=False)
        if tarfile.returncode or done.returncode:
            raise EmulationError(f"{deb} cannot be unpacked into {folder}")


def query(architecture: str, suite: str, words: Sequence[str]) -> str:
    """The output of `apt-cache` in this environment."""
    with _blaming_the_archive(architecture, suite):
        return _apt(_world(architecture, suite), "apt-cache", *words)


@contextmanager
def _blaming_the_archive(architecture: str, suite: str) -> Iterator[None]:
    """Distinguishes an archive's fault from everything else that can go wrong with apt."""
    try:
        yield
    except ProgramError as error:
        reason = faults.of_apt(error.said)
        if reason is None:
            raise
        raise ArchiveError(f"Debian {suite} for {architecture}", reason) from None


@contextmanager
def _newer_lists(world: Path) -> Iterator[None]:
    """Fetches new lists; the old ones are restored if what the new ones name is unavailable.

    Everything fetched with the old lists is in the cache, and the new ones do not name it.
    """
    lists, old = world / "var/lib/apt/lists", world / "old-lists"
    shutil.rmtree(old, ignore_errors=True)
    shutil.copytree(lists, old)
    try:
        _update(world)
        yield
    except EmulationError:
        shutil.rmtree(lists)
        old.rename(lists)
        raise
    shutil.rmtree(old)


def _world(architecture: str, suite: str) -> Path:
    def make(world: Path) -> None:
        for folder in ("etc/apt", "var/lib/apt/lists/partial", "var/lib/dpkg"):
            (world / folder).mkdir(parents=True)
        (world / "var/lib/dpkg/status").touch()
        source = mirror().source(architecture, suite)
        (world / "etc/apt/sources.list").write_text(source + "\n")
        (world / "apt.conf").write_text(_settings(architecture))
        _update(world)

    return cache.made("apt", f"{suite}-{architecture}", make)


def _settings(architecture: str) -> str:
    """Settings for apt; how to reach mirrors is copied from this machine."""
    lines = programs.run(["apt-config", "dump", "Acquire"]).splitlines()
    reach = [line for line in lines if line.lower().startswith(("acquire::http", "acquire::retr"))]
    own = {
        "APT::Architecture": architecture,
        "APT::Architectures": architecture,
        "APT::Sandbox::User": "",
        "Acquire::ForceHash": "SHA256",
        "Acquire::Languages": "none",
        "Dir::Bin::Methods": "/usr/lib/apt/methods",
        "Dir::Etc::Trusted": "/etc/apt/trusted.gpg",
        "Dir::Etc::TrustedParts": "/etc/apt/trusted.gpg.d",
    }
    return "\n".join([*reach, *(f'{name} "{value}";' for name, value in own.items())]) + "\n"


def _apt(world: Path, program: str, *words: str) -> str:
    archives = cache.home() / "debs"
    (archives / "partial").mkdir(parents=True, exist_ok=True)
    places = [
        *["-o", f"Dir={world}", "-o", f"Dir::State::Status={world}/var/lib/dpkg/status"],
        *["-o", f"Dir::Cache={world}/var/cache/apt", "-o", f"Dir::Cache::Archives={archives}"],
        *["-o", "Debug::NoLocking=true"],  # we have our own locks; apt's would need root's folders
    ]
    env = {"APT_CONFIG": str(world / "apt.conf"), "LC_ALL": "C"}
    # `apt-get download` puts files into its working directory.
    return programs.run([program, "-q", *places, *words], env=env, folder=archives)


def _update(world: Path) -> None:
    _apt(world, "apt-get", "update", "-o", "APT::Update::Error-Mode=any")


def _download(world: Path, verb: list[str], packages: Sequence[str], tell: Tell) -> list[Path]:
    get = ["apt-get", "--yes", *verb, *packages]
    elsewhere = ["-o", f"Dir::Cache::Archives={world}/none"]  # apt does not list what it has
    wanted = {
        name.replace(":", "%3a"): (int(size), digest)
        for name, size, digest in _URI.findall(_apt(world, *get, "--print-uris", *elsewhere))
    }
    if not wanted:
        raise EmulationError(f"apt found nothing to fetch for {', '.join(packages)}")
    folder = cache.home() / "debs"
    digests = {name: digest for name, (_, digest) in wanted.items()}
    missing = drop_corrupt(folder, digests, tell)
    if missing:
        size_mb = sum(wanted[name][0] for name in missing) / 1e6
        tell(f"fetching {len(missing)} Debian packages, {size_mb:.1f} MB")
        _apt(world, *get, "--download-only")
        still = drop_corrupt(folder, digests, tell)
        if still:
            raise EmulationError(f"apt did not fetch {', '.join(still)}")
    return [folder / name for name in wanted]
