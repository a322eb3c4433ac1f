"""QEMU's command line as a value."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

BROKER_ADDRESS = "10.0.2.100"  # the one service that a restricted guest can reach
HOST_ADDRESS = "10.0.2.2"  # QEMU's address for this machine's loopback

# Runs on this machine once per connection of a restricted guest. QEMU's own forwarding to an
# address is a single connection for the machine's lifetime, so a device could not reconnect.
_FORWARD = Path(__file__).with_name("forward.py")


@dataclass(frozen=True, slots=True)
class Drive:
    """A disk image, and how the machine sees it."""

    file: Path
    format: str  # raw or qcow2
    device: str  # what it is attached to: a -device up to its drive=, or "sd", a board's card slot
    is_writable: bool = True

    def words(self, name: str) -> list[str]:
        if self.device == "sd":
            return ["-drive", f"file={_escaped(self.file)},if=sd,format={self.format}"]
        access = "off" if self.is_writable else "on"
        # writeback: what the guest flushes is in this machine's page cache, which survives QEMU.
        drive = (
            f"file={_escaped(self.file)},if=none,id={name},format={self.format},"
            f"readonly={access},cache=writeback"
        )
        return ["-drive", drive, "-device", f"{self.device},drive={name}"]


@dataclass(frozen=True, slots=True)
class Network:
    """The machine's one interface.

    Attributes:
        device: QEMU's name for the hardware.
        forward: the guest's port at `BROKER_ADDRESS`, and the port on this machine's loopback it
            leads to; None for no forwarding.
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
    """A machine that can be started: nothing in it changes from one start to the next.

    Attributes:
        program: QEMU.
        model: QEMU's name for the machine.
        words: additions to the kernel's command line.
        is_counted: one instruction is one nanosecond of the guest's clock, and the guest's
            performance counters count instructions. Slow: one thread runs all cores. While the
            guest waits, its clock follows this machine's: if it jumped ahead, the guest would run
            out of patience with the outside world and send everything twice.
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
        """QEMU's command line, without its connections to this process."""
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
    """A path escaped for QEMU's option parser."""
    return str(path).replace(",", ",,")
