"""The folder on a board's Python path: fedge for that machine, and fedge's requirements."""

import os
import shutil
import zipfile
from pathlib import Path

from firmware_sim.boards import System
from firmware_sim.build import onnx
from firmware_sim.build.toolchain import headers
from firmware_sim.build.wheels import wheel
from firmware_sim.stock import cache
from firmware_sim.stock.item import Item, Tell
from firmware_sim.stock.packages import item as package_item
from firmware_sim.stock.packages import packages


def site(system: System, tell: Tell = print) -> Path:
    """A folder for PYTHONPATH. Debian's packages (numpy on 32 bits) are in the root file system."""
    others, built = third_party(system, tell), wheel(system, tell)

    def make(folder: Path) -> None:
        _link(others, folder)
        with zipfile.ZipFile(built) as archive:
            archive.extractall(folder)

    key = cache.key(others.name, built.parent.name)
    return cache.made(f"site/{system.name}", key, make)


def third_party(system: System, tell: Tell = print) -> Path:
    """All Python packages that fedge needs there and Debian does not have."""
    fetched = packages(system, tell)
    if system.engine != "reference":
        return fetched
    compiled = onnx.item(system).folder(tell)

    def make(folder: Path) -> None:
        _link(fetched, folder)
        _link(compiled, folder)

    key = cache.key(fetched.name, compiled.name)
    return cache.made(f"third-party/{system.name}", key, make)


def items(system: System) -> list[Item]:
    """What `site` needs from archives."""
    found = [package_item(system), headers(system)]
    return [*found, onnx.item(system)] if system.engine == "reference" else found


def _link(source: Path, folder: Path) -> None:
    """Hard links instead of copies: onnxruntime and numpy take 100 MB, and fedge changes often."""
    shutil.copytree(source, folder, copy_function=os.link, dirs_exist_ok=True)
