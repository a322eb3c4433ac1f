"""Python compiled ahead of time, so that no guest spends its first seconds on it."""

import subprocess
import sys
import zipfile
from pathlib import Path

from firmware_sim.boards import System
from firmware_sim.stock import cache


def compile_tree(folder: Path, python: str) -> None:
    """Put bytecode beside all modules in a folder that a guest sees as its root.

    Bytecode is the same for all processors, but belongs to one version of Python: for another
    than the one that runs this, nothing happens, and guests compile what they import.
    """
    if python != f"{sys.version_info.major}.{sys.version_info.minor}":
        return
    # Unchecked: the disk's times are not those of the files it was made from.
    words = ["-q", "-q", "--invalidation-mode", "unchecked-hash", "-s", str(folder), "-p", "/"]
    # Some packages carry files that are meant for other versions; those stay as they are.
    subprocess.run([sys.executable, "-m", "compileall", *words, str(folder)], check=False)


def unpacked(wheel: Path, system: System) -> Path:
    """The content of a wheel with its bytecode, made once."""

    def make(folder: Path) -> None:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
        compile_tree(folder, system.python)

    return cache.made(f"unpacked/{system.name}", wheel.parent.name, make)
