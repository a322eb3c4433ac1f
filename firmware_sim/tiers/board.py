"""QEMU's models of whole boards, with their own serial port, card slot and USB.

Debian's kernel boots with the board's device tree, the system is on an SD card or a USB disk, and
the network is an adapter in the USB port.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from firmware_sim.boards import Board
from firmware_sim.build import onnx
from firmware_sim.build.base import base_disk, booted, tree
from firmware_sim.build.bytecode import unpacked
from firmware_sim.build.devicetree import without_node
from firmware_sim.build.disk import make_card, read_partition
from firmware_sim.build.initramfs import initramfs, kept
from firmware_sim.build.job import LOG, OURS, fetch_job, job_disk
from firmware_sim.build.wheels import wheel
from firmware_sim.emulator.hardware import HOST_ADDRESS, Drive, Hardware, Network
from firmware_sim.emulator.machine import Machine
from firmware_sim.stock import programs
from firmware_sim.stock.item import Item
from firmware_sim.stock.kernel import Flavour, kernel
from firmware_sim.tiers.base import Job, Need, Tell, needed
from firmware_sim.tiers.guest import MachineGuest

_MODULES = ("crc32c_generic", "ext4", "phy_generic", "dwc2", "cdc_ether", "sch_netem")
_CARD = ("bcm2835", "sdhci_iproc")  # the slots of the boards up to 3
_USB_DISK = ("sd_mod", "usb_storage")
_RADIO = "bluetooth"  # if there is one, it takes the serial port
_NO_POWER_DRIVER = "initcall_blacklist=bcm2835_pm_driver_init"  # QEMU has no such device there


@dataclass(frozen=True, slots=True, kw_only=True)
class _Model:
    """One of QEMU's boards, and the options its kernel needs."""

    program: str = "qemu-system-aarch64"
    since: int = 7  # QEMU's major version
    kernel: Flavour = "arm64"
    tree: str
    words: str
    storage: str = "sd"
    modules: Sequence[str] = _CARD
    network: str = "usb-net"
    more: Sequence[str] = ()
    without: str | None = None  # a node to remove from its device tree


_MODELS: Mapping[str, _Model] = {
    "raspi0": _Model(
        program="qemu-system-arm",
        kernel="rpi",
        tree="bcm2835-rpi-zero.dtb",
        words=f"console=ttyAMA0,115200 {_NO_POWER_DRIVER}",
    ),
    "raspi3ap": _Model(
        tree="broadcom/bcm2837-rpi-3-a-plus.dtb",
        words=f"console=ttyAMA0,115200 {_NO_POWER_DRIVER}",
        without=_RADIO,
    ),
    "raspi3b": _Model(
        tree="broadcom/bcm2837-rpi-3-b.dtb",
        words="console=ttyAMA0,115200",
        without=_RADIO,
    ),
    "raspi4b": _Model(
        since=9,
        tree="broadcom/bcm2711-rpi-4-b.dtb",
        words=(
            "console=ttyAMA0,115200 clk_ignore_unused pd_ignore_unused "
            "initcall_blacklist=brcmstb_l2_driver_init,brcmstb_i2c_driver_init"
        ),
        # Its card slot's driver never returns, so everything is on a hub in the one USB port.
        modules=_USB_DISK,
        storage="usb-storage,port=1.1",
        network="usb-net,port=1.2",
        more=("-device", "usb-hub,port=1"),
        without=_RADIO,
    ),
}


@dataclass(frozen=True, slots=True)
class BoardMode:
    """The tier."""

    name: ClassVar[str] = "board"
    runs: ClassVar[str] = "the whole device runtime, on QEMU's model of the board"
    may_claim: ClassVar[str] = "that it boots and runs on that model; kernel, file system, memory"
    may_not_claim: ClassVar[str] = "speed, cycles, energy, Wi-Fi"
    loopback: ClassVar[str] = HOST_ADDRESS

    def refusal(self, board: Board) -> str | None:
        """Why this tier cannot run the board's code; None if it can."""
        model = _MODELS.get(board.qemu_machine or "")
        if model is None:
            return f"QEMU has no model of the {board.title}; the tier `system` has its processor"
        found = _version(model.program)
        if found is not None and found[0] < model.since:
            version = ".".join(map(str, found))
            return (
                f"QEMU's {board.qemu_machine} came with version {model.since}, and this is "
                f"{version}: on Debian 12, sudo apt install -t bookworm-backports qemu-system-arm"
            )
        return None

    def needs(self, board: Board) -> Sequence[Need]:
        """The emulator, and what fetches, builds and unpacks the board's system."""
        model = _MODELS.get(board.qemu_machine or "")
        reasons = {
            **({model.program: f"models the {board.title}"} if model else {}),
            "apt-get": "fetches the board's Debian and its kernel",
            "dpkg-deb": "unpacks them",
            f"{board.system.triplet}-gcc": "compiles fedge's kernels for the board",
            **onnx.programs_for(board.system),
            "mke2fs": "makes its card",
            "e2fsck": "replays the card's journal",
            "debugfs": "reads its card",
        }
        return needed(reasons)

    def stock(self, board: Board) -> Sequence[Item]:
        """The board's Debian, kernel and Python packages; nothing for a board without a model."""
        model = _MODELS.get(board.qemu_machine or "")
        return booted(board.system, model.kernel) if model else []

    def prepare(self, board: Board, tell: Tell) -> None:
        """Fetch kernel and Debian, build the disk; nothing the second time.

        Raises:
            EmulationError: if a download or the build fails.
        """
        model = _MODELS[board.qemu_machine or ""]
        programs.need(model.program)
        _initramfs(board, model, tell)
        base_disk(board.system, tell)
        unpacked(wheel(board.system, tell), board.system)

    def start(self, board: Board, job: Job) -> MachineGuest:
        """Start a program; `program.log` in its folder has its output."""
        folder = job.folder / OURS
        folder.mkdir(parents=True, exist_ok=True)
        image, card = folder / "job.img", folder / "card.img"
        fedge = unpacked(wheel(board.system, _be_quiet), board.system)
        job_disk(image, fedge, job.words, job.folder, job.environment)
        make_card(card, [base_disk(board.system, _be_quiet), image])

        def fetch() -> None:
            read_partition(card, 1, image)
            fetch_job(image, job.folder)

        machine = Machine(_hardware(board, card), folder, program_log=job.folder / LOG)
        return MachineGuest(machine, fetch)


TIER = BoardMode()


def _hardware(board: Board, card: Path) -> Hardware:
    model = _MODELS[board.qemu_machine or ""]
    found = kernel(model.kernel, _be_quiet)
    return Hardware(
        program=programs.need(model.program),
        model=board.qemu_machine or "",
        cpu=None,
        memory_mb=None,
        n_cores=None,
        kernel=found.image,
        initramfs=_initramfs(board, model, _be_quiet),
        dtb=_tree(found.device_trees / model.tree, model, card.with_name("board.dtb")),
        words=f"{model.words} quiet loglevel=4 fedge.start=yes",
        drives=(Drive(card, "raw", model.storage),),
        network=Network(model.network),
        more=model.more,
    )


def _tree(stock: Path, model: _Model, own: Path) -> Path:
    """The board's tree without the node that would take its serial port, in its own file."""
    if model.without is None:
        return stock
    own.write_bytes(without_node(stock.read_bytes(), model.without))
    return own


def _initramfs(board: Board, model: _Model, tell: Tell) -> Path:
    busybox = tree(board.system, tell) / "bin/busybox"
    return kept(initramfs(kernel(model.kernel, tell).modules, busybox, (*_MODULES, *model.modules)))


def _version(program: str) -> tuple[int, ...] | None:
    """QEMU's version; None if it is not installed."""
    if programs.find(program) is None:
        return None
    said = re.search(r"version (\d+)\.(\d+)\.(\d+)", programs.run([program, "--version"]))
    return tuple(int(part) for part in said.groups()) if said else None


def _be_quiet(_line: str) -> None:
    """No progress to show: it is already prepared, or missing and the caller gets the error."""
