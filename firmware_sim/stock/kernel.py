"""Linux for the boards, out of Debian's packages."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from firmware_sim.errors import EmulationError
from firmware_sim.stock import cache, debian
from firmware_sim.stock.item import Item, Tell

Flavour = Literal["cloud-arm64", "arm64", "armmp", "rpi"]

_RECIPE = 1
_SUITE = "bookworm"  # the last one with a kernel for ARMv6; Python's suite does not matter to it
_ARCHITECTURE: dict[Flavour, str] = {
    "cloud-arm64": "arm64",
    "arm64": "arm64",
    "armmp": "armhf",
    "rpi": "armel",
}


@dataclass(frozen=True, slots=True)
class Kernel:
    """Where the parts of a kernel lie; cloud-arm64 is for `-M virt` only, and three times less."""

    folder: Path

    @property
    def image(self) -> Path:
        return self.folder / "vmlinuz"

    @property
    def release(self) -> str:
        """What `uname -r` says there."""
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
        ArchiveError: if it has and does not give it.
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
    """The package behind linux-image-FLAVOUR, which has nothing in it but a dependency."""
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
