"""Whether a wheel is what its name promises, judging by the machine code in it.

A wheel's tag says where it runs, and pip believes the tag. So this looks at the code itself: which
processor it is for, how it passes floats, which libraries it needs in which versions, which Python
functions it calls, and whether it fuses multiplications and additions.
"""

import re
import tempfile
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from firmware_sim.boards import Machine, System
from firmware_sim.build.shared_object import Floats, SharedObject
from firmware_sim.build.toolchain import toolchain
from firmware_sim.errors import EmulationError
from firmware_sim.stock import programs

LIBRARIES = {"libc.so.6", "libm.so.6", "libgcc_s.so.1"}
_LARGEST_GLIBC = (2, 17)  # of the oldest manylinux that has ARM
_EXPECTED: Mapping[Machine, tuple[str, Floats, int]] = {  # the last is ARM's name for v7 and v6
    "aarch64": ("EM_AARCH64", "-", 0),
    "armv7l": ("EM_ARM", "hard", 10),
    "armv6l": ("EM_ARM", "soft", 6),
}
# One rounding where two are promised; 32-bit ARM's vmla rounds twice, so it is not one of them.
FUSED = re.compile(r"\t(?:fn?m(?:add|sub)|fml[as]l?2?|vfn?m[as](?:[a-z]{2})?(?:\.\w+)*)\s")
_NAME = re.compile(r"\b_?Py\w+")


@dataclass(frozen=True, slots=True)
class Audit:
    """The combined findings about a wheel's shared objects.

    Attributes:
        unresolved: functions that neither a library nor Python's stable interface provides.
        n_fused: instructions that multiply and add with a single rounding.
    """

    tag: str
    size_bytes: int
    n_objects: int
    machine: str
    floats: Floats
    architecture: int
    libraries: tuple[str, ...]
    glibc: tuple[int, ...]
    unresolved: tuple[str, ...]
    has_text_relocations: bool
    n_fused: int

    def complaints(self, system: System) -> list[str]:
        """What is wrong in a wheel for this system."""
        machine, floats, architecture = _EXPECTED[system.machine]
        foreign = sorted(set(self.libraries) - LIBRARIES)
        wrong = {
            f"its tag is {self.tag}": self.tag != f"cp311-abi3-linux_{system.machine}",
            f"its code is for {self.machine}": self.machine != machine,
            f"its calls pass floats the {self.floats} way": self.floats != floats,
            f"it needs ARM's architecture number {self.architecture}": (
                self.architecture > architecture
            ),
            f"it wants {', '.join(foreign)}": bool(foreign),
            f"it wants glibc {dotted(self.glibc)}": self.glibc > _LARGEST_GLIBC,
            f"nothing gives it {', '.join(self.unresolved)}": bool(self.unresolved),
            "loading it changes its code": self.has_text_relocations,
            f"{self.n_fused} instructions round once where two are promised": self.n_fused > 0,
        }
        return [sentence for sentence, is_wrong in wrong.items() if is_wrong]


def audit(wheel: Path, system: System) -> Audit:
    """Inspect a wheel.

    Raises:
        EmulationError: if it holds no shared object, or objects for different machines.
    """
    with tempfile.TemporaryDirectory() as temporary:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(temporary)
        paths = sorted(Path(temporary).rglob("*.so"))
        found = [SharedObject.read(path) for path in paths]
        machine, floats = _one_kind(found, wheel)
        n_fused = sum(_n_fused(path, system) for path in paths)
    given = stable_interface(system)
    return Audit(
        tag=wheel.stem.split("-", 2)[2],
        size_bytes=wheel.stat().st_size,
        n_objects=len(found),
        machine=machine,
        floats=floats,
        architecture=max(each.architecture for each in found),
        libraries=_all(each.libraries for each in found),
        glibc=max(each.glibc for each in found),
        unresolved=tuple(name for name in _all(each.wants for each in found) if name not in given),
        has_text_relocations=any(each.has_text_relocations for each in found),
        n_fused=n_fused,
    )


def stable_interface(system: System) -> set[str]:
    """The functions that Python 3.11's headers declare for code that must run on all later ones."""
    tools = toolchain(system)
    words = [tools.compiler, *tools.flags, "-DPy_LIMITED_API=0x030B0000", "-E", "-include"]
    return set(_NAME.findall(programs.run([*words, "Python.h", "-x", "c", "/dev/null"])))


def dotted(version: Iterable[int]) -> str:
    """A version in its usual form."""
    return ".".join(map(str, version))


def _one_kind(found: Iterable[SharedObject], wheel: Path) -> tuple[str, Floats]:
    kinds = {(each.machine, each.floats) for each in found}
    if len(kinds) != 1:
        raise EmulationError(f"{wheel.name} has code for {len(kinds)} kinds of machines, not one")
    return kinds.pop()


def _n_fused(path: Path, system: System) -> int:
    return len(FUSED.findall(programs.run([f"{system.triplet}-objdump", "-d", path])))


def _all(names: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(sorted({name for some in names for name in some}))
