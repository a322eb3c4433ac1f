"""The processors whose instructions are counted, and how the kernels are compiled for each.

For the boards the flags are those of the wheels, so what is counted is what ships. A Cortex-M does
not run Python; there the counts are for what firmware would contain instead.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from fedge.errors import ConfigError
from firmware_sim.boards import ARM64, ARMEL, ARMHF, BOARDS, Board, System
from firmware_sim.build.toolchain import TARGET


@dataclass(frozen=True, slots=True, kw_only=True)
class Processor:
    """A processor and how to compile for it.

    Attributes:
        name: QEMU's, with a suffix if there are two kinds of code for it.
        triplet: the cross compiler's.
        flags: for the compiler; setup.py's are added.
        helpers: triplet of the compiler whose libgcc divides if the processor cannot.
        model: Unicorn's name for it.
        floats: the registers that pass floats to a function, if any.
        note: what a reader of its counts should know.
    """

    name: str
    triplet: str
    flags: tuple[str, ...]
    helpers: str
    model: str
    word: Literal[4, 8] = 4  # bytes in a pointer
    floats: bool = True
    is_microcontroller: bool = False
    note: str = ""

    @property
    def compiler(self) -> str:
        return f"{self.triplet}-gcc"


def _shipped(name: str, system: System, **more: str) -> Processor:
    """Code as in a system's wheel."""
    return Processor(
        name=name,
        triplet=system.triplet,
        flags=TARGET[system.machine],
        helpers=system.triplet,
        model=more.get("model", name.replace("-", "_").upper().replace("ARM1176", "1176")),
        word=8 if system.machine == "aarch64" else 4,
        floats=system is not ARMEL,
        note=more.get("note", ""),
    )


def _microcontroller(name: str, fpu: str) -> Processor:
    return Processor(
        name=name,
        triplet=ARMHF.triplet,
        flags=(f"-mcpu={name}", "-mthumb", f"-mfpu={fpu}", "-mfloat-abi=hard"),
        helpers=ARMHF.triplet,
        model=name.replace("-", "_").upper(),
        is_microcontroller=True,
        note="runs no Python: the loops alone, as firmware would have them",
    )


_SAME = "the same code as for every 64-bit board"

PROCESSORS = (
    _shipped("cortex-a53", ARM64, model="A53", note=_SAME),
    _shipped("cortex-a72", ARM64, model="A72", note=_SAME),
    # Unicorn has no A76; its MAX has all of the A76's instructions and more.
    _shipped("cortex-a76", ARM64, model="MAX", note=f"{_SAME}; Unicorn's MAX stands for it"),
    _shipped("cortex-a7", ARMHF),
    _shipped("arm1176", ARMEL, note="as for Debian's armel: floats are computed by the VFP"),
    Processor(
        name="arm1176-hf",
        triplet=ARMHF.triplet,
        flags=("-march=armv6+fp", "-marm", "-mfloat-abi=hard"),
        helpers=ARMEL.triplet,  # Debian's other libgcc is for ARMv7
        model="1176",
        note="as Raspberry Pi OS has it: floats in registers",
    ),
    _microcontroller("cortex-m4", "fpv4-sp-d16"),
    _microcontroller("cortex-m33", "fpv5-sp-d16"),
    _microcontroller("cortex-m7", "fpv5-sp-d16"),  # Unicorn's has no doubles
)


def processor(name: str) -> Processor:
    """The processor of a board, or of this name.

    Raises:
        ConfigError: if neither exists.
    """
    wanted = next((board.cpu for board in BOARDS if board.name == name), name)
    for candidate in PROCESSORS:
        if candidate.name == wanted:
            return candidate
    known = [*(board.name for board in BOARDS), *(each.name for each in PROCESSORS)]
    raise ConfigError(f"there is no board or processor {name!r}: choose from {', '.join(known)}")


def boards_of(processor: Processor) -> Sequence[Board]:
    """The boards that have this processor."""
    return [board for board in BOARDS if board.cpu == processor.name]
