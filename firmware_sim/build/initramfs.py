"""What a guest boots from: a static busybox, the modules for disks and network, our script."""

import hashlib
import lzma
import re
from collections.abc import Sequence
from pathlib import Path

from firmware_sim.build.cpio import archive
from firmware_sim.errors import EmulationError
from firmware_sim.stock import cache

_INIT = Path(__file__).with_name("guest_init.sh")


def initramfs(kernel: Path, busybox: Path, modules: Sequence[str]) -> bytes:
    """The archive for `-initrd`.

    Args:
        kernel: a kernel's folder lib/modules/RELEASE.
        busybox: a static one, of the guest's architecture.
        modules: names such as virtio_blk; their dependencies are added. Modules built into the
            kernel are left out.

    Raises:
        EmulationError: if the kernel lacks one of the modules.
    """
    known = _Modules(kernel)
    for name in modules:
        known.take(name)
    order = "".join(f"{name}.ko\n" for name in known.taken)
    return archive(
        {
            "init": _INIT.read_bytes(),
            "bin/busybox": busybox.read_bytes(),
            "modules/order": order.encode(),
            **{f"modules/{name}.ko": content for name, content in known.taken.items()},
        }
    )


def kept(archive: bytes) -> Path:
    """A file with this content, in the cache."""

    def make(folder: Path) -> None:
        (folder / "initramfs").write_bytes(archive)

    key = hashlib.sha256(archive).hexdigest()[:12]
    return cache.made("initramfs", key, make) / "initramfs"


class _Modules:
    """A kernel's modules, and those taken so far, each after its dependencies."""

    def __init__(self, kernel: Path) -> None:
        self._files = {_name(file.name): file for file in kernel.glob("**/*.ko*")}
        self._builtin = {_name(line) for line in (kernel / "modules.builtin").read_text().split()}
        self.taken: dict[str, bytes] = {}

    def take(self, name: str) -> None:
        name = name.replace("-", "_")
        if name in self._builtin or name in self.taken:
            return
        if name not in self._files:
            raise EmulationError(f"the kernel has no module {name}")
        content = _read(self._files[name])
        for needed in _depends(content):
            self.take(needed)
        self.taken[name] = content


def _name(path: str) -> str:
    return path.rpartition("/")[2].partition(".ko")[0].replace("-", "_")


def _read(file: Path) -> bytes:
    """A module in the form the kernel loads; newer packages compress them."""
    content = file.read_bytes()
    return lzma.decompress(content) if file.suffix == ".xz" else content


def _depends(module: bytes) -> list[str]:
    """A module's dependencies according to its own description, as `modinfo` reads it."""
    found = re.search(rb"\0depends=([\w,-]*)\0", module)
    return [name for name in found[1].decode().split(",") if name] if found else []
