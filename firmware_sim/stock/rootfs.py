"""The file system of a board's Debian, unpacked and never installed.

No package's script has run, because none could here. What the scripts would have done and
something depends on is made up for: links of Debian's alternatives. Nor has anything compiled
Python's library to bytecode; what starts Python there keeps that somewhere else.
"""

from collections.abc import Sequence
from pathlib import Path

from firmware_sim.boards import System
from firmware_sim.stock import cache, debian
from firmware_sim.stock.item import Item, Tell

_RECIPE = 1  # raise it when the same packages make another folder

# numpy looks for the libraries where the alternatives system would have put links to them.
_ALTERNATIVES = {"libblas.so.3": "blas/libblas.so.3", "liblapack.so.3": "lapack/liblapack.so.3"}


def rootfs(system: System, extra: Sequence[str] = (), tell: Tell = print) -> Path:
    """The folder of a system's files; nobody may write there.

    Args:
        system: which Debian; its packages are all there.
        extra: more packages.
        tell: takes lines of progress.

    Returns:
        a folder with usr, etc and so on; beside it lies packages.txt, which says what is in it.

    Raises:
        ArchiveError: if the archive does not give it.
    """
    return item(system, extra).folder(tell) / "root"


def item(system: System, extra: Sequence[str] = ()) -> Item:
    """What `rootfs` unpacks."""
    packages = sorted({*system.packages, *extra})

    def make(folder: Path, tell: Tell) -> None:
        tell(f"unpacking Debian {system.suite} for {system.debian}")
        debs = debian.download(system.debian, system.suite, packages, tell=tell)
        debian.extract(debs, folder / "root")
        _link_alternatives(folder / "root" / "usr/lib" / system.triplet)
        (folder / "packages.txt").write_text("".join(f"{deb.name}\n" for deb in sorted(debs)))

    more = f" with {', '.join(extra)}" if extra else ""
    key = cache.key(_RECIPE, packages)
    return Item(f"Debian {system.name}{more}", f"rootfs/{system.name}", key, make)


def _link_alternatives(libraries: Path) -> None:
    for name, target in _ALTERNATIVES.items():
        if (libraries / target).exists() and not (libraries / name).exists():
            (libraries / name).symlink_to(target)
