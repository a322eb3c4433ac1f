"""A board's programs under QEMU's user mode: ARM code, this machine's kernel.

QEMU translates each program and passes its system calls to the kernel here, so it needs no root, no
container and no registered binary format. A prefix of links shows the program its board's Debian
and, in /proc and /sys, its board's processor and memory; all other files are this machine's.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from firmware_sim.boards import Board, System
from firmware_sim.build import onnx
from firmware_sim.build.site import items, site
from firmware_sim.stock import cache, programs
from firmware_sim.stock.item import Item
from firmware_sim.stock.rootfs import item as debian_item
from firmware_sim.stock.rootfs import rootfs
from firmware_sim.tiers.base import Job, Need, Tell, needed
from firmware_sim.tiers.process import Process
from firmware_sim.tiers.profile import lay, profile

_QEMU = {"aarch64": "qemu-aarch64-static", "armv7l": "qemu-arm-static", "armv6l": "qemu-arm-static"}


@dataclass(frozen=True, slots=True, kw_only=True)
class UserMode:
    """The tier, with or without a limit.

    Attributes:
        is_capped: whether a program may map only as much as its board has memory. That limits
            addresses, not memory in use: what fails may still fit on a board, what runs does fit.
            QEMU supports it for 64-bit programs only.
    """

    is_capped: bool = False

    name: ClassVar[str] = "user"
    runs: ClassVar[str] = "the whole device runtime, on this machine's kernel"
    may_claim: ClassVar[str] = "real ARM binaries, their ABI, their bits, that they work"
    may_not_claim: ClassVar[str] = "speed, memory in use, durability"
    loopback: ClassVar[str] = "127.0.0.1"

    def refusal(self, board: Board) -> str | None:
        """Why this tier cannot run the board's code; None if it can."""
        if self.is_capped and board.system.machine != "aarch64":
            return "QEMU caps the addresses of 64-bit programs only"
        return None

    def needs(self, board: Board) -> Sequence[Need]:
        """The emulator, and what fetches and builds the board's system."""
        reasons = {
            **onnx.programs_for(board.system),
            _QEMU[board.system.machine]: f"runs {board.system.machine} code",
            "apt-get": "fetches the board's Debian",
            "dpkg-deb": "unpacks it",
            f"{board.system.triplet}-gcc": "compiles fedge's kernels for the board",
        }
        return needed(reasons)

    def stock(self, board: Board) -> Sequence[Item]:
        """The board's Debian and its Python packages."""
        return [debian_item(board.system), *items(board.system)]

    def prepare(self, board: Board, tell: Tell) -> None:
        """Fetch the board's Debian, build fedge, fetch its requirements; nothing the second time.

        Raises:
            EmulationError: if a download or the build fails.
        """
        programs.need(_QEMU[board.system.machine])
        rootfs(board.system, tell=tell)
        site(board.system, tell=tell)
        _ready(board)

    def start(self, board: Board, job: Job) -> Process:
        """Run a program; `program.log` in its folder has its output."""
        prefix, site_packages = _ready(board)
        cap = ["-R", f"{board.memory_mb}M"] if self.is_capped else []
        command = [
            programs.need(_QEMU[board.system.machine]),
            # QEMU's default CPU has vector instructions that no board has:
            # they are slow to emulate and give different last digits.
            *["-cpu", board.cpu, "-seed", "1", *cap, "-L", str(prefix)],
            str(prefix / "usr/bin" / f"python{board.system.python}"),
            *job.words,
        ]
        environment = _environment(board.system, site_packages, job.folder)
        return Process(command, folder=job.folder, environment={**environment, **job.environment})


TIER = UserMode()


@functools.cache  # a change in fedge's sources waits for the next process: a fleet runs one fedge
def _ready(board: Board) -> tuple[Path, Path]:
    """The prefix for QEMU, and the folder for PYTHONPATH."""
    tree = rootfs(board.system, tell=_be_quiet)
    files = profile(board)
    key = cache.key(str(tree), files)
    prefix = cache.made(f"user/{board.name}", key, lambda folder: lay(files, tree, folder))
    return prefix, site(board.system, tell=_be_quiet)


def _environment(system: System, site_packages: Path, home: Path) -> dict[str, str]:
    """A program's whole environment: none of this process's own variables."""
    return {
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "PYTHONPATH": str(site_packages),
        "PYTHONHASHSEED": "0",
        "PYTHONUNBUFFERED": "1",
        # Compiled once and kept, but not in the trees that disks are built from.
        "PYTHONPYCACHEPREFIX": str(cache.home() / "pycache" / system.name),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "ORT_DISABLE_TELEMETRY": "1",
    }


def _be_quiet(_line: str) -> None:
    """No progress to show: it is already prepared, or missing and the caller gets the error."""
