"""Linux for the boards, from Debian's packages."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from firmware_sim.errors import EmulationError
from firmware_sim.stock import cache, debian
from firmware_sim.stock.item import Item, Tell

Flavour = Literal["cloud-arm64", "arm64", "armmp", "rpi"]

_RECIPE = 1
_SUITE = "bookworm"  # the last one with an ARMv6 kernel; independent of Python's suite
_ARCHITECTURE: dict[Flavour, str] = {
    "cloud-arm64": "arm64",
    "arm64": "arm64",
    "armmp": "armhf",
    "rpi": "armel",
}


@dataclass(frozen=True, slots=True)
class Kernel:
    """Paths of a kernel's parts; cloud-arm64 is only for `-M virt`, and a third of the size."""

    folder: Path

    @property
    def image(self) -> Path:
        return self.folder / "vmlinuz"

    @property
    def release(self) -> str:
        """What `uname -r` prints there."""
        return next((self.folder / "lib/modules").iterdir()).name

    @property
    def modules(self) -> Path:
        """The folder lib/modules/RELEASE."""
        return self.folder / "lib/modules" / self.release

    @property
    def device_trees(self) -> Path:
        """The folder of .dtb files; it does not exist for cloud-arm64."""
        return self.folder / "dtbs"


def kernel(flavour: Flavour, tell: Tell = print) -> Kernel:
    """A kernel, unpacked.

    Raises:
        EmulationError: if the archive has none of this flavour.
        ArchiveError: if it has one but does not deliver it.
    """
    return Kernel(item(flavour).folder(tell))


def item(flavour: Flavour) -> Item:
    """What `kernel` unpacks."""
    architecture = _ARCHITECTURE[flavour]

    def make(folder: Path, tell: Tell) -> None:
        package = _package(architecture, flavour)
        tell(f"unpacking {package}")
        debs = debian.download(architecture, _SUITE, [package], dependencies=False, tell=tell)
        debian.extract(debs, folder / "all")
        _arrange(folder / "all", folder)

    return Item(f"kernel {flavour}", f"kernel/{flavour}", cache.key(_RECIPE), make)


def _package(architecture: str, flavour: str) -> str:
    """The package behind linux-image-FLAVOUR, which contains only a dependency on it."""
    told = debian.query(architecture, _SUITE, ["depends", "--important", f"linux-image-{flavour}"])
    for line in told.splitlines():
        name = line.strip().removeprefix("Depends: ")
        if name.startswith("linux-image-") and name != f"linux-image-{flavour}":
            return name
    raise EmulationError(f"Debian {_SUITE} has no kernel {flavour} for {architecture}")


def _arrange(unpacked: Path, folder: Path) -> None:
    """Keep image, modules and device trees, under names without the version."""
    (image,) = (unpacked / "boot").glob("vmlinuz-*")
    image.rename(folder / "vmlinuz")
    (folder / "lib").mkdir()
    (unpacked / "usr/lib/modules").rename(folder / "lib/modules")
    for trees in (unpacked / "usr/lib").glob("linux-image-*"):
        trees.rename(folder / "dtbs")
    shutil.rmtree(unpacked)
