"""The file system of a board's Debian, unpacked and never installed.

No package's scripts have run, because none could run here. The part of their work that matters,
the links of Debian's alternatives, is done instead. Nor is Python's library compiled to bytecode;
whatever starts Python there stores that elsewhere.
"""

from collections.abc import Sequence
from pathlib import Path

from firmware_sim.boards import System
from firmware_sim.stock import cache, debian
from firmware_sim.stock.item import Item, Tell

_RECIPE = 1  # increase it when the same packages produce a different folder

# numpy looks for these libraries where the alternatives system would have linked them.
_ALTERNATIVES = {"libblas.so.3": "blas/libblas.so.3", "liblapack.so.3": "lapack/liblapack.so.3"}


def rootfs(system: System, extra: Sequence[str] = (), tell: Tell = print) -> Path:
    """The folder with a system's files; it must not be written to.

    Args:
        system: which Debian; all its packages are included.
        extra: more packages.
        tell: takes lines of progress.

    Returns:
        a folder with usr, etc and so on; packages.txt next to it lists its content.

    Raises:
        ArchiveError: if the archive does not deliver it.
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
