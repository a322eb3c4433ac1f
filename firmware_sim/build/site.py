"""The folder that a board's Python has on its path: fedge for its machine, and what fedge needs."""

import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

from firmware_sim.boards import System
from firmware_sim.build.wheels import wheel
from firmware_sim.stock import cache
from firmware_sim.stock.packages import packages

Tell = Callable[[str], None]


def site(system: System, tell: Tell = print) -> Path:
    """A folder for PYTHONPATH. What is Debian's (numpy on 32 bits) is in the root file system."""
    third_party, built = packages(system, tell), wheel(system, tell)

    def make(folder: Path) -> None:
        # Links, because onnxruntime and numpy have 100 MB and fedge changes often.
        shutil.copytree(third_party, folder, copy_function=os.link, dirs_exist_ok=True)
        with zipfile.ZipFile(built) as archive:
            archive.extractall(folder)

    key = cache.key(third_party.name, built.parent.name)
    return cache.made(f"site/{system.name}", key, make)
