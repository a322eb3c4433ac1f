"""The boards: what each one is, and which system runs on it.

A description states facts about the hardware. What an emulator makes of them is up to the tier.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from fedge.errors import ConfigError

Machine = Literal["aarch64", "armv7l", "armv6l"]  # as `uname -m` has it


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """A Debian for one kind of processor, with a Python."""

    machine: Machine
    debian: str  # Debian's name for the architecture
    suite: str
    python: str
    triplet: str  # of the cross compiler and the library folders
    engine: Literal["onnxruntime", "reference"]  # what runs training graphs there
    packages: tuple[str, ...]  # Debian's; Python packages from elsewhere are in `stock`

    @property
    def name(self) -> str:
        return f"{self.suite}-{self.debian}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """A board one can buy, or a generic one with a certain processor."""

    name: str
    title: str
    system: System
    cpu: str  # as QEMU names it
    memory_mb: int
    n_cores: int
    qemu_machine: str | None = None  # QEMU's model of the whole board, if there is one


_PYTHON = ("python3-minimal", "libpython3-stdlib", "libstdc++6", "ca-certificates")

ARM64 = System(
    machine="aarch64",
    debian="arm64",
    suite="bookworm",
    python="3.11",
    triplet="aarch64-linux-gnu",
    engine="onnxruntime",
    packages=_PYTHON,
)
# No wheels exist for 32-bit ARM: numpy and onnxruntime are Debian's.
ARMHF = System(
    machine="armv7l",
    debian="armhf",
    suite="trixie",
    python="3.13",
    triplet="arm-linux-gnueabihf",
    engine="onnxruntime",
    packages=(*_PYTHON, "python3-numpy", "python3-onnxruntime"),
)
# Raspberry Pi OS has hard floats on ARMv6, Debian does not, and neither has onnxruntime. Debian
# 13's armel loses packages at point releases; 12 has had its last one. Its onnx is too old to run
# graphs, so we compile our own: see `build.onnx`.
ARMEL = System(
    machine="armv6l",
    debian="armel",
    suite="bookworm",
    python="3.11",
    triplet="arm-linux-gnueabi",
    engine="reference",
    packages=(*_PYTHON, "python3-numpy", "python3-protobuf"),
)
SYSTEMS = (ARM64, ARMHF, ARMEL)

BOARDS = (
    Board(
        name="zerow",
        title="Raspberry Pi Zero W",
        system=ARMEL,
        cpu="arm1176",
        memory_mb=512,
        n_cores=1,
        qemu_machine="raspi0",
    ),
    Board(
        name="zero2w",
        title="Raspberry Pi Zero 2 W",
        system=ARM64,
        cpu="cortex-a53",
        memory_mb=512,
        n_cores=4,
        qemu_machine="raspi3ap",  # the same chip and memory
    ),
    Board(
        name="pi3",
        title="Raspberry Pi 3 B",
        system=ARM64,
        cpu="cortex-a53",
        memory_mb=1024,
        n_cores=4,
        qemu_machine="raspi3b",
    ),
    Board(
        name="pi4",
        title="Raspberry Pi 4 B",
        system=ARM64,
        cpu="cortex-a72",
        memory_mb=2048,
        n_cores=4,
        qemu_machine="raspi4b",  # QEMU 9 and later
    ),
    Board(
        name="pi5",
        title="Raspberry Pi 5",
        system=ARM64,
        cpu="cortex-a76",
        memory_mb=4096,
        n_cores=4,
    ),
    Board(
        name="armv7",
        title="ARMv7 board",
        system=ARMHF,
        cpu="cortex-a7",
        memory_mb=1024,
        n_cores=4,
    ),
)


def board(name: str) -> Board:
    """The board of this name.

    Raises:
        ConfigError: if there is none.
    """
    for candidate in BOARDS:
        if candidate.name == name:
            return candidate
    raise ConfigError(f"there is no board {name!r}: choose from {', '.join(names(BOARDS))}")


def names(boards: Sequence[Board]) -> list[str]:
    """The names of the boards."""
    return [each.name for each in boards]
