"""A running machine: QEMU as a process."""

import secrets
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from firmware_sim.emulator.console import Console
from firmware_sim.emulator.hardware import Hardware
from firmware_sim.emulator.monitor import Monitor
from firmware_sim.errors import EmulationError

_END_S = 10.0  # for QEMU to end after it was killed


class Machine:
    """A guest from power-on; leaving it as a context cuts the power.

    Its connections are socket pairs, so nobody else can interfere and nothing is left behind.

    Args:
        hardware: what to start.
        folder: for `console.log`, everything from the serial line, and `qemu.log`, QEMU's own
            output; both are appended to.
        program_log: for the guest program's output; `program.log` in the folder if None.
        clock_s: initial time of the guest's clock, in seconds since 1970; None for the real time.
        snapshot: resume from it instead of booting: its name and its token.

    Attributes:
        hardware: as it was started.
        console: the guest's serial line.
        monitor: QEMU's monitor.
        token: this boot's.
    """

    def __init__(
        self,
        hardware: Hardware,
        folder: Path,
        *,
        program_log: Path | None = None,
        clock_s: int | None = None,
        snapshot: tuple[str, str] | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.hardware = hardware
        self.program_log = program_log or folder / "program.log"
        self.token = snapshot[1] if snapshot else secrets.token_hex(8)
        serial, guest_serial = socket.socketpair()
        qmp, guest_qmp = socket.socketpair()
        # The wall clock is the point here: the guest should show it.
        clock_s = int(time.time()) if clock_s is None else clock_s  # noqa: TID251 - see above
        command = hardware.command(token=self.token, clock_s=clock_s, python=sys.executable)
        command += _lines(guest_serial.fileno(), guest_qmp.fileno())
        command += ["-loadvm", snapshot[0]] if snapshot else []
        with guest_serial, guest_qmp, (folder / "qemu.log").open("ab") as log:
            self._log = folder / "qemu.log"
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(guest_serial.fileno(), guest_qmp.fileno()),
                start_new_session=True,
            )
        self.console = Console(serial, self.token, self.program_log, folder / "console.log")
        try:
            self.monitor = Monitor(qmp)
        except EmulationError as error:
            self.cut()
            raise EmulationError(f"{hardware.program} did not start: {self._said()}") from error
        if snapshot:
            self.console.is_ready = True

    @property
    def is_running(self) -> bool:
        """Whether it has power."""
        return self._process.poll() is None

    @property
    def process_id(self) -> int:
        """QEMU's process id."""
        return self._process.pid

    def cut(self) -> None:
        """Cut the power: whatever is not on the disk is lost."""
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGKILL)
        self._process.wait(_END_S)
        self.console.close()
        if hasattr(self, "monitor"):
            self.monitor.close()

    def shut_down(self, timeout_s: float = 60.0) -> None:
        """Write everything to the disks, then cut the power.

        Raises:
            EmulationError: if the guest no longer takes commands.
        """
        try:
            self.console.expect("down", timeout_s)
        finally:
            self.cut()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.cut()

    def _said(self) -> str:
        lines = self._log.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"


def _lines(serial: int, qmp: int) -> list[str]:
    """QEMU's options for its two connections to this process, which are open sockets."""
    return [
        "-chardev", f"socket,id=line0,fd={serial}", "-serial", "chardev:line0",
        "-chardev", f"socket,id=qmp0,fd={qmp}", "-mon", "chardev=qmp0,mode=control",
    ]  # fmt: skip
