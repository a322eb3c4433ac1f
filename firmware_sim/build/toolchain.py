"""Compilers and Python headers for the boards, and how setuptools is made to use them."""

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from firmware_sim.boards import Machine, System
from firmware_sim.stock import cache, debian, programs
from firmware_sim.stock.item import Item, Tell

_RECIPE = 1
# The headers of the oldest supported Python: its stable interface holds in all later ones.
_SUITE, _PYTHON = "bookworm", "3.11"

# What every board of this kind supports; setup.py adds the rest. Debian's armel does not pass
# floats in registers, yet ARMv6 can compute in them: softfp computes there and calls like Debian.
TARGET: dict[Machine, tuple[str, ...]] = {
    "aarch64": ("-march=armv8-a",),
    "armv7l": ("-march=armv7-a+fp", "-mfloat-abi=hard"),
    "armv6l": ("-march=armv6+fp", "-marm", "-mfloat-abi=softfp"),
}


@dataclass(frozen=True, slots=True)
class Toolchain:
    """The cross compiler and headers for a system."""

    system: System
    headers: Path  # the system's Python and C library headers, laid out as in its root

    @property
    def compiler(self) -> str:
        """The name of the cross compiler."""
        return f"{self.system.triplet}-gcc"

    @property
    def flags(self) -> tuple[str, ...]:
        """Flags for the processor and for Python's headers."""
        include = self.headers / "usr/include"
        # These come first, because otherwise this machine's pyconfig.h would be found.
        places = (f"-I{include}/python{_PYTHON}", f"-idirafter{include}")
        return (*TARGET[self.system.machine], *places)

    def environment(self) -> Mapping[str, str]:
        """The environment that makes setuptools here build for the other machine."""
        compiler = programs.need(self.compiler)
        return {
            "_PYTHON_HOST_PLATFORM": f"linux-{self.system.machine}",
            "_PYTHON_SYSCONFIGDATA_NAME": _sysconfigdata(self.system),
            "PYTHONPATH": str(self.headers / "sysconfig"),
            "CC": " ".join([compiler, *self.flags]),
            "LDSHARED": f"{compiler} -shared -Wl,--strip-all",
            "CFLAGS": "",
            "LDFLAGS": "",
        }


def toolchain(system: System, tell: Tell = print) -> Toolchain:
    """A system's toolchain; fetches the headers on first use.

    Raises:
        ArchiveError: if the archive does not deliver them.
    """
    return Toolchain(system, headers(system).folder(tell))


def headers(system: System) -> Item:
    """The headers of Python and the C library of a system."""

    def make(folder: Path, tell: Tell) -> None:
        packages = [f"libpython{_PYTHON}-dev"]
        tell(f"unpacking Python's headers for {system.debian}")
        debian.extract(debian.download(system.debian, _SUITE, packages, tell=tell), folder)
        # This file alone: with the whole library on its path, this machine's Python would use it.
        (folder / "sysconfig").mkdir()
        data = folder / f"usr/lib/python{_PYTHON}" / f"{_sysconfigdata(system)}.py"
        shutil.copy(data, folder / "sysconfig")

    name = f"headers/{system.debian}"
    return Item(f"headers for {system.debian}", name, cache.key(_RECIPE), make)


def _sysconfigdata(system: System) -> str:
    return f"_sysconfigdata__{system.triplet}"


def version(system: System) -> str:
    """The cross compiler's name and version; another one may make other code."""
    first = programs.run([f"{system.triplet}-gcc", "--version"]).splitlines()[0]
    return re.sub(r"\s+", " ", first)
