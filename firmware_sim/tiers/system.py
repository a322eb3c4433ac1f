"""A whole Debian system under QEMU's full emulation: its own kernel, memory, disk and network.

The machine is QEMU's `virt`, which is not a real board; processor and memory are the board's.
Programs start from a disk that is never written to and work on their own disk.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from firmware_sim.boards import Board
from firmware_sim.build import onnx
from firmware_sim.build.base import base_disk, booted, tree
from firmware_sim.build.bytecode import unpacked
from firmware_sim.build.initramfs import initramfs, kept
from firmware_sim.build.job import LOG, OURS, fetch_job, job_disk
from firmware_sim.build.wheels import wheel
from firmware_sim.emulator.hardware import BROKER_ADDRESS, HOST_ADDRESS, Drive, Hardware, Network
from firmware_sim.emulator.machine import Machine
from firmware_sim.stock import programs
from firmware_sim.stock.item import Item
from firmware_sim.stock.kernel import Flavour, kernel
from firmware_sim.tiers.base import Job, Need, Tell, needed
from firmware_sim.tiers.guest import MachineGuest

_MODULES = (
    "crc32c_generic", "ext4", "virtio_mmio", "virtio_blk", "virtio_net",
    "sch_netem", "sch_ingress", "cls_matchall", "act_mirred", "ifb",  # for bad links, both ways
)  # fmt: skip
_MOST_MB = 3072  # for a guest with 32-bit addresses, which devices take a part of


@dataclass(frozen=True, slots=True)
class _Kind:
    """The emulator for a kind of processor."""

    program: str
    model: str
    kernel: Flavour


_KINDS: Mapping[str, _Kind] = {
    "aarch64": _Kind("qemu-system-aarch64", "virt,gic-version=2", "cloud-arm64"),
    "armv7l": _Kind("qemu-system-arm", "virt,gic-version=2,highmem=off", "armmp"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemMode:
    """The tier, with or without special conditions.

    Attributes:
        memory_mb: replaces the board's.
        disk_mb: size of the job's disk; None for enough.
        n_cores: cores of the machine; more than this computer has make it slower.
        forward: a port at 10.0.2.100, and the port on this machine's loopback it leads to.
        is_restricted: whether that is all the guest can reach.
        is_counted: whether the guest's performance counters and clock count instructions.
    """

    memory_mb: int | None = None
    disk_mb: int | None = None
    n_cores: int = 1
    forward: tuple[int, int] | None = None
    is_restricted: bool = False
    is_counted: bool = False

    name: ClassVar[str] = "system"
    runs: ClassVar[str] = "the whole device runtime, on Debian's own kernel for ARM"
    may_claim: ClassVar[str] = (
        "kernel, file system, memory in use, TCP, what survives a power cut, instruction counts"
    )
    may_not_claim: ClassVar[str] = "cycles, energy, Wi-Fi"

    @property
    def loopback(self) -> str:
        """The address at which the guest reaches this machine's 127.0.0.1."""
        return BROKER_ADDRESS if self.is_restricted else HOST_ADDRESS

    def refusal(self, board: Board) -> str | None:
        """Why this tier cannot run the board's code; None if it can."""
        if board.system.machine not in _KINDS:
            return f"QEMU's machine `virt` has no {board.cpu}; its own model is in the tier `board`"
        return None

    def needs(self, board: Board) -> Sequence[Need]:
        """The emulator, and what fetches, builds and unpacks the board's system."""
        kind = _KINDS.get(board.system.machine)
        reasons = {
            **({kind.program: f"is a machine of {board.system.machine}"} if kind else {}),
            "apt-get": "fetches the board's Debian and its kernel",
            "dpkg-deb": "unpacks them",
            f"{board.system.triplet}-gcc": "compiles fedge's kernels for the board",
            **onnx.programs_for(board.system),
            "mke2fs": "makes its disks",
            "debugfs": "reads its disks",
            "qemu-img": "makes disks that can be snapshot",
        }
        return needed(reasons)

    def stock(self, board: Board) -> Sequence[Item]:
        """The board's Debian, kernel and Python packages; nothing for a board that is refused."""
        kind = _KINDS.get(board.system.machine)
        return booted(board.system, kind.kernel) if kind else []

    def prepare(self, board: Board, tell: Tell) -> None:
        """Fetch kernel and Debian, build the disk; nothing the second time.

        Raises:
            EmulationError: if a download or the build fails.
        """
        kind = _KINDS[board.system.machine]
        programs.need(kind.program)
        _initramfs(board, kind, tell)
        base_disk(board.system, tell)
        unpacked(wheel(board.system, tell), board.system)

    def start(self, board: Board, job: Job) -> MachineGuest:
        """Start a program; `program.log` in its folder has its output."""
        image = self.disk(board, job)
        machine = Machine(self.hardware(board, image), image.parent, program_log=job.folder / LOG)
        return MachineGuest(machine, lambda: fetch_job(image, job.folder))

    def disk(self, board: Board, job: Job) -> Path:
        """Create the job's disk, in `.board` in the job's folder."""
        image = job.folder / OURS / "job.img"
        image.parent.mkdir(parents=True, exist_ok=True)
        fedge = unpacked(wheel(board.system, _be_quiet), board.system)
        job_disk(image, fedge, job.words, job.folder, job.environment, size_mb=self.disk_mb)
        return image

    def hardware(
        self, board: Board, image: Path, *, image_format: str = "raw", starts: bool = True
    ) -> Hardware:
        """The machine with this disk.

        Args:
            board: determines processor and memory.
            image: the job's disk.
            image_format: raw or qcow2; only the latter can hold snapshots.
            starts: whether the program starts by itself.
        """
        kind = _KINDS[board.system.machine]
        start = " fedge.start=yes" if starts else ""
        # A program's position in memory changes its count by up to one per cent.
        layout = " norandmaps" if self.is_counted else ""
        return Hardware(
            program=programs.need(kind.program),
            model=kind.model,
            cpu=board.cpu,
            memory_mb=min(self.memory_mb or board.memory_mb, _MOST_MB),
            n_cores=self.n_cores,
            kernel=kernel(kind.kernel, _be_quiet).image,
            initramfs=_initramfs(board, kind, _be_quiet),
            words=f"console=ttyAMA0 quiet loglevel=4{start}{layout}",
            drives=(
                Drive(
                    base_disk(board.system, _be_quiet),
                    "raw",
                    "virtio-blk-device",
                    is_writable=False,
                ),
                Drive(image, image_format, "virtio-blk-device"),
            ),
            network=Network(
                "virtio-net-device", forward=self.forward, is_restricted=self.is_restricted
            ),
            is_counted=self.is_counted,
        )


TIER = SystemMode()


def _initramfs(board: Board, kind: _Kind, tell: Tell) -> Path:
    busybox = tree(board.system, tell) / "bin/busybox"
    return kept(initramfs(kernel(kind.kernel, tell).modules, busybox, _MODULES))


def _be_quiet(_line: str) -> None:
    """No progress to show: it is already prepared, or missing and the caller gets the error."""
