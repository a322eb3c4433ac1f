"""A program on this machine as a guest; it may be an emulator running another program."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from firmware_sim.errors import EmulationError

LOG = "program.log"
_PATIENCE_S = 10.0  # with a program that was asked to end, before it is killed


class Process:
    """A running program, and what it starts, in its own session.

    It is a `Guest`. Ctrl-C in the terminal does not reach it: its starter ends it.

    Args:
        command: the program's path and its arguments.
        folder: where it starts; its output goes to `program.log` there.
        environment: its whole environment; nothing of this process's own is added.
    """

    def __init__(
        self, command: Sequence[str], *, folder: Path, environment: Mapping[str, str]
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.log = folder / LOG
        self._is_stopped = False
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=folder,
                env=dict(environment),
                start_new_session=True,
            )

    def is_running(self) -> bool:
        return self._process.poll() is None

    def wait(self, timeout_s: float) -> int:
        """The program's exit code.

        Raises:
            EmulationError: if it is still running after that time, or a signal ended it.
        """
        try:
            code = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise EmulationError(
                f"the program still runs after {timeout_s:g} s; see {self.log}"
            ) from None
        if code < 0:
            name = signal.Signals(-code).name
            raise EmulationError(f"the program was ended by {name}: {last_words(self.log)}")
        return code

    def stop(self) -> None:
        """Ask it to end; after ten seconds, kill it and everything it started."""
        if self._is_stopped:
            return  # its process id may be another program's by now
        self._is_stopped = True
        self._signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_PATIENCE_S)
        self._signal(signal.SIGKILL)
        self._process.wait()

    def _signal(self, number: int) -> None:
        # The session outlives its first process if that one leaves others behind.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)


def last_words(log: Path) -> str:
    """The last line that a program printed, and where the rest is."""
    lines = log.read_text(errors="replace").split("\n") if log.exists() else []
    said = [line for line in lines if line.strip()]
    return f"{said[-1].strip()} (all of it is in {log})" if said else f"it said nothing; see {log}"
