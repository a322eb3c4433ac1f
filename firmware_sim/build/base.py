"""The disk that holds a board's system: Debian and Python packages, never written to."""

import os
import shutil
import tempfile
from pathlib import Path

from firmware_sim.boards import System
from firmware_sim.build.bytecode import compile_tree
from firmware_sim.build.disk import make_ext4
from firmware_sim.build.site import items, third_party
from firmware_sim.stock import cache
from firmware_sim.stock.item import Item, Tell
from firmware_sim.stock.kernel import Flavour
from firmware_sim.stock.kernel import item as kernel_item
from firmware_sim.stock.rootfs import item as debian_item
from firmware_sim.stock.rootfs import rootfs

# The shell for the first program; `tc` and the module sch_netem, to degrade links; eatmydata, which
# ignores fsync and so shows what a power cut does to a program that does not call it.
EXTRA = ("busybox-static", "iproute2", "libeatmydata1")
SITE = "/opt/site"  # where its Python packages are

_RECIPE = 2
_MOUNTED = ("dev", "job", "proc", "root", "run", "sys", "tmp")  # see guest_init.sh
_SPARE_MB = 64


def tree(system: System, tell: Tell) -> Path:
    """The system's files, with what a guest needs besides Python."""
    return rootfs(system, EXTRA, tell)


def booted(system: System, flavour: Flavour) -> list[Item]:
    """What a bootable machine needs from archives."""
    return [debian_item(system, EXTRA), kernel_item(flavour), *items(system)]


def base_disk(system: System, tell: Tell) -> Path:
    """The image, built once for a system and its packages; it does not contain fedge."""
    root, site = tree(system, tell), third_party(system, tell)

    def make(folder: Path) -> None:
        tell(f"making the disk of {system.name}")
        with tempfile.TemporaryDirectory(dir=folder) as temporary:
            whole = Path(temporary) / "root"
            _link(root, whole)
            _link(site, whole / SITE.lstrip("/"))
            compile_tree(whole, system.python)
            for name in _MOUNTED:
                (whole / name).mkdir(exist_ok=True)
            make_ext4(folder / "base.img", whole, label="fedge-base", size_mb=_size_mb(whole))

    key = cache.key(_RECIPE, str(root), str(site))
    return cache.made(f"disk/{system.name}", key, make) / "base.img"


def _link(source: Path, target: Path) -> None:
    """Quickly makes a second tree of the same files, by hard links."""
    shutil.copytree(source, target, symlinks=True, copy_function=_hard_link)


def _hard_link(source: str, target: str, *, follow_symlinks: bool = True) -> None:
    os.link(source, target, follow_symlinks=follow_symlinks)


def _size_mb(folder: Path) -> int:
    """Space for a folder: its 4 KiB blocks, a tenth for the file system's own data, and spare."""
    files = [path.lstat().st_size for path in folder.rglob("*")]
    blocks = sum(-(-size // 4096) for size in files) + len(files) // 16
    return int(blocks * 4096 * 1.1) // 2**20 + _SPARE_MB
