"""The processes of one fleet: started, watched and stopped together."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from fedge.errors import FedgeError

_PATIENCE_S = 10.0  # given to a process that was asked to stop, before it is killed


@dataclass(slots=True)
class Fleet:
    """`fedge` processes, each with its log; leaving the context stops them all.

    Each has a session of its own, so that Ctrl-C in the terminal reaches only the
    process that started the fleet, which then stops the others in order.
    """

    logs: Path
    _running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __enter__(self) -> Self:
        self.logs.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(
        self, name: str, words: Sequence[str], *, env: Mapping[str, str] | None = None
    ) -> None:
        """Start `fedge WORDS` under a name; what it prints goes to NAME.log.

        Secrets go into `env`, its own variables: everybody can read its command line.
        """
        with self._log(name).open("ab") as log:
            self._running[name] = subprocess.Popen(  # noqa: S603 - our own command
                [sys.executable, "-m", "fedge", *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**_environment(), **(env or {})},
                start_new_session=True,
            )

    def run(self, name: str, words: Sequence[str]) -> None:
        """Run `fedge WORDS` to its end; FedgeError with its last words if it fails."""
        self.start(name, words)
        code = self._running.pop(name).wait()
        if code != 0:
            raise self._failure(name, code)

    def check(self) -> None:
        """Raise FedgeError if a process has ended by itself with an error."""
        for name, process in self._running.items():
            code = process.poll()
            if code not in {None, 0}:
                raise self._failure(name, code)

    def has_ended(self, name: str) -> bool:
        """Whether this process has ended."""
        return self._running[name].poll() is not None

    def last_words(self, name: str) -> str:
        """The last line that this process printed."""
        log = self._log(name)
        lines = log.read_text(errors="replace").splitlines() if log.exists() else []
        return lines[-1].removeprefix("fedge: ") if lines else f"it said nothing; see {log}"

    def stop(self, names: Sequence[str] | None = None) -> None:
        """Ask these processes (all, if none are named) to stop; kill those that do not."""
        chosen = [name for name in (names or list(self._running)) if name in self._running]
        leaving = {name: self._running.pop(name) for name in reversed(chosen)}
        for process in leaving.values():
            _signal(process, signal.SIGTERM)
        until = time.monotonic() + _PATIENCE_S
        for process in leaving.values():
            try:
                process.wait(max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                _signal(process, signal.SIGKILL)
                process.wait()

    def _failure(self, name: str, code: int | None) -> FedgeError:
        """An error with the last line of a process and its exit code."""
        error = FedgeError(f"{name}: {self.last_words(name)}")
        error.exit_code = code if code and code > 0 else 1
        return error

    def _log(self, name: str) -> Path:
        return self.logs / f"{name}.log"


def _environment() -> Mapping[str, str]:
    """One compute thread for each process: the fleet shares the cores of one machine."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    """Signal a process and what it started, such as the broker behind `fedge broker`."""
    if process.poll() is None:
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            return
