"""Compiles Python ahead of time, so that no guest spends its first seconds on it."""

import subprocess
import sys
import zipfile
from pathlib import Path

from firmware_sim.boards import System
from firmware_sim.stock import cache


def compile_tree(folder: Path, python: str) -> None:
    """Put bytecode next to all modules in a folder that a guest sees as its root.

    Bytecode is the same for all processors but specific to a Python version: for a version other
    than the one running this, nothing happens, and guests compile what they import.
    """
    if python != f"{sys.version_info.major}.{sys.version_info.minor}":
        return
    # Unchecked, because file times on the disk differ from those of the original files.
    words = ["-q", "-q", "--invalidation-mode", "unchecked-hash", "-s", str(folder), "-p", "/"]
    # Some packages contain files for other Python versions; those are left alone.
    subprocess.run([sys.executable, "-m", "compileall", *words, str(folder)], check=False)


def unpacked(wheel: Path, system: System) -> Path:
    """The content of a wheel with its bytecode, built once."""

    def make(folder: Path) -> None:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
        compile_tree(folder, system.python)

    return cache.made(f"unpacked/{system.name}", wheel.parent.name, make)
