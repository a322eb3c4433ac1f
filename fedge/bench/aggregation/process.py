"""The aggregator under measurement: `fedge aggregate` in a process of its own."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from fedge.errors import FedgeError

_PATIENCE_S = 60.0  # for an aggregator to exit once its job is done


class AggregatorProcess:
    """Started on entry, gone on exit.

    Args:
        folder: for its state, log and figures; it must exist.
        flags: of `fedge aggregate`.
    """

    def __init__(self, folder: Path, flags: dict[str, object]) -> None:
        self.state_dir = folder / "state"
        self._log, self._result = folder / "aggregator.log", folder / "figures.json"
        words = [f"--{name}={value}" for name, value in flags.items()]
        self._command = [
            *(sys.executable, "-m", "fedge.bench.aggregation.measured", str(self._result)),
            *("aggregate", f"--state-dir={self.state_dir}", *words),
        ]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
                start_new_session=True,  # whoever started it stops it, not Ctrl-C
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._running.poll() is None:
            self._running.kill()
            self._running.wait()

    def mark(self) -> None:
        """Have it note its totals so far."""
        self.check()
        self._running.send_signal(signal.SIGUSR1)

    def check(self) -> None:
        """FedgeError if it has ended with an error."""
        code = self._running.poll()
        if code not in {None, 0}:
            raise FedgeError(f"the aggregator ended: {self._last_words()}")

    def disk_bytes(self) -> int:
        """What its state directory holds now."""
        total = 0
        for file in self.state_dir.rglob("*"):
            try:
                total += file.stat().st_size if file.is_file() else 0
            except OSError:  # it is being replaced right now
                continue
        return total

    def result(self) -> dict[str, Any]:
        """Wait for it to exit; returns what `measured` wrote."""
        try:
            self._running.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            raise FedgeError(f"the aggregator does not exit: {self._last_words()}") from None
        self.check()
        result: dict[str, Any] = json.loads(self._result.read_text())
        return result

    @property
    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None  # noqa: S101 - started on entry
        return self._process

    def _last_words(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines()
        return lines[-1].removeprefix("fedge: ") if lines else "it said nothing"
