"""What a board's kernel says about the board: files that programs read to learn where they run.

QEMU's user mode looks for every file in its prefix first, so a program finds these instead of this
machine's. Without them onnxruntime crashes on a null pointer: it looks for ARM's fields in an x86
machine's /proc/cpuinfo.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from firmware_sim.boards import Board
from firmware_sim.errors import EmulationError


@dataclass(frozen=True, slots=True)
class _Chip:
    """What /proc/cpuinfo shows about a processor; the numbers are Arm's."""

    architecture: int
    part: int
    revision: int
    features: str


_LINKED = ("bin", "etc", "lib", "sbin", "usr")
_V6 = "half thumb fastmult vfp edsp java tls"
_V7 = "half thumb fastmult vfp edsp neon vfpv3 tls vfpv4 idiva idivt vfpd32 lpae evtstrm"
_V8 = "fp asimd evtstrm crc32 cpuid"  # the boards' chips lack the instructions for AES
_V82 = (
    "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc"
    " dcpop asimddp"
)
_CHIPS = {
    "arm1176": _Chip(7, 0xB76, 7, _V6),  # the kernel says 7 for its memory model, as on the board
    "cortex-a7": _Chip(7, 0xC07, 5, _V7),
    "cortex-a53": _Chip(8, 0xD03, 4, _V8),
    "cortex-a72": _Chip(8, 0xD08, 3, _V8),
    "cortex-a76": _Chip(8, 0xD0B, 1, _V82),
}


def profile(board: Board) -> dict[str, str]:
    """The files, by path below the root, with their contents."""
    cores = "0" if board.n_cores == 1 else f"0-{board.n_cores - 1}"
    lists = ("online", "possible", "present")
    return {
        "proc/cpuinfo": _cpuinfo(board),
        "proc/meminfo": _meminfo(board.memory_mb),
        **{f"sys/devices/system/cpu/{name}": f"{cores}\n" for name in lists},
    }


def lay(files: Mapping[str, str], tree: Path, prefix: Path) -> None:
    """Make a prefix of these files and of links to a Debian tree's programs and libraries.

    Everything else, such as /tmp, /home and the rest of /proc, remains this machine's.
    """
    for name, text in files.items():
        path = prefix / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for name in _LINKED:
        if (tree / name).exists():
            (prefix / name).symlink_to(tree / name)


def _cpuinfo(board: Board) -> str:
    chip = _CHIPS.get(board.cpu)
    if chip is None:
        raise EmulationError(f"it is not known what /proc/cpuinfo shows on a {board.cpu}")
    fields = {
        "BogoMIPS": "38.40",
        "Features": chip.features,
        "CPU implementer": "0x41",
        "CPU architecture": chip.architecture,
        "CPU variant": "0x0",
        "CPU part": f"{chip.part:#x}",
        "CPU revision": chip.revision,
    }
    rows = "".join(f"{name}\t: {value}\n" for name, value in fields.items())
    cores = "".join(f"processor\t: {core}\n{rows}\n" for core in range(board.n_cores))
    return f"{cores}Model\t\t: {board.title}\n"


def _meminfo(memory_mb: int) -> str:
    """All of the board's memory, free; a real kernel keeps a few per cent for itself."""
    names = ("MemTotal", "MemFree", "MemAvailable")
    rows = [f"{name}:".ljust(16) + f"{memory_mb * 1024:>8} kB\n" for name in names]
    return "".join(rows) + "SwapTotal:             0 kB\nSwapFree:              0 kB\n"
