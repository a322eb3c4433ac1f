"""QEMU's command line as a value."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

BROKER_ADDRESS = "10.0.2.100"  # of the one service that a restricted guest reaches
HOST_ADDRESS = "10.0.2.2"  # QEMU's name for this machine's loopback

# Runs on this machine once for every connection of a restricted guest. QEMU's own forwarding
# to an address is one connection for the machine's life, so a device could not reconnect.
_FORWARD = Path(__file__).with_name("forward.py")


@dataclass(frozen=True, slots=True)
class Drive:
    """A disk image, and how the machine sees it."""

    file: Path
    format: str  # raw or qcow2
    device: str  # what holds it: a -device up to its drive=, or "sd" for a board's card slot
    is_writable: bool = True

    def words(self, name: str) -> list[str]:
        if self.device == "sd":
            return ["-drive", f"file={_escaped(self.file)},if=sd,format={self.format}"]
        access = "off" if self.is_writable else "on"
        # writeback: what the guest flushes is in this machine's page cache, which outlives QEMU.
        drive = (
            f"file={_escaped(self.file)},if=none,id={name},format={self.format},"
            f"readonly={access},cache=writeback"
        )
        return ["-drive", drive, "-device", f"{self.device},drive={name}"]


@dataclass(frozen=True, slots=True)
class Network:
    """The machine's one interface.

    Attributes:
        device: QEMU's name of the hardware.
        forward: the guest's port at `BROKER_ADDRESS`, and the port of this machine's loopback it
            leads to. None: it leads nowhere.
        is_restricted: whether that is all the guest can reach.
    """

    device: str
    forward: tuple[int, int] | None = None
    is_restricted: bool = False

    def words(self, python: str) -> list[str]:
        backend = "user,id=net0"
        if self.is_restricted:
            backend += ",restrict=on"
        if self.forward is not None:
            there, here = self.forward
            command = f"{python} -I -S {_escaped(_FORWARD)} {here}"
            backend += f",guestfwd=tcp:{BROKER_ADDRESS}:{there}-cmd:{command}"
        return ["-netdev", backend, "-device", f"{self.device},netdev=net0"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """A machine to be started: nothing in it changes from one start to the next.

    Attributes:
        program: QEMU.
        model: the machine as QEMU names it.
        words: more of the kernel's command line.
        is_counted: one instruction is one nanosecond of the guest's clock, and the guest's
            performance counters count instructions. Slow: one thread runs all cores. A guest that
            waits does so at this machine's pace: a clock that leapt then would end its patience
            with those outside, and it would say everything twice.
    """

    program: str
    model: str
    cpu: str | None  # None: a board's own
    memory_mb: int | None  # None: a board's own
    n_cores: int | None  # None: a board's own
    kernel: Path
    initramfs: Path
    dtb: Path | None = None
    words: str
    drives: Sequence[Drive]
    network: Network | None
    more: Sequence[str] = ()
    is_counted: bool = False

    def command(self, *, token: str, clock_s: int, python: str) -> list[str]:
        """QEMU's words, all but those for its lines to this process."""
        net = "yes" if self.network else "no"
        append = f"{self.words} fedge.token={token} fedge.clock={clock_s} fedge.net={net}"
        command = [self.program, "-M", self.model, "-display", "none", "-no-reboot", "-nodefaults"]
        for flag, value in (
            ("-cpu", self.cpu),
            ("-m", self.memory_mb),
            ("-smp", self.n_cores),
            ("-kernel", self.kernel),
            ("-initrd", self.initramfs),
            ("-dtb", self.dtb),
            ("-append", append),
        ):
            command += [flag, str(value)] if value is not None else []
        if self.is_counted:
            command += ["-icount", "shift=0"]
        command += self.more
        for number, drive in enumerate(self.drives):
            command += drive.words(f"disk{number}")
        return command + (self.network.words(python) if self.network else [])


def _escaped(path: Path) -> str:
    """A path as QEMU's option parser takes it."""
    return str(path).replace(",", ",,")
