"""A job on an emulated machine, as started by the tiers `system` and `board`."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from firmware_sim.emulator.machine import Machine
from firmware_sim.errors import EmulationError
from firmware_sim.tiers.process import last_words

_PATIENCE_S = 30.0  # with a program that was asked to end: emulated boards are slow
_DOWN_S = 60.0  # to write everything to a disk


class MachineGuest:
    """A program that starts by itself when its machine is up.

    It is a `Guest`. When the program has ended, the machine goes down and the content of its disk
    is copied back into the job's folder; until then `machine` can be used, to pull its cable for
    instance.

    Args:
        machine: just powered on.
        fetch: copies the job's folder back from the disk, which is not in use by then.
    """

    def __init__(self, machine: Machine, fetch: Callable[[], None]) -> None:
        self.machine = machine
        self.log: Path = machine.program_log
        self._fetch = fetch
        self._is_over = False

    def is_running(self) -> bool:
        return self.machine.is_running and self.machine.console.exit_code is None

    def wait(self, timeout_s: float) -> int:
        """The program's exit code.

        Raises:
            EmulationError: if the program is still running by then, or the machine went down.
        """
        try:
            code = self.machine.console.await_exit(timeout_s)
        except EmulationError as error:
            raise EmulationError(f"{error}; {last_words(self.log)}") from error
        self._end()
        return code

    def stop(self) -> None:
        """Ask the program to end; after half a minute, cut the power."""
        console = self.machine.console
        if self.is_running():
            with suppress(EmulationError):  # it may be ending right now, or hang
                console.await_ready(_PATIENCE_S)
                console.send("end TERM")
                console.await_exit(_PATIENCE_S)
        self._end()

    def _end(self) -> None:
        if self._is_over:
            return
        self._is_over = True
        try:
            if self.machine.is_running:
                self.machine.shut_down(_DOWN_S)
        except EmulationError:
            self.machine.cut()
        self._fetch()
