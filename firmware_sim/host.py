"""A fleet's surroundings on this machine: a broker on loopback, `fedge` commands as processes."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from fedge.transport.broker import RunningBroker, start_broker
from firmware_sim.errors import EmulationError
from firmware_sim.tiers.base import Need, needed

_STOP_S = 20.0


def needs() -> Sequence[Need]:
    """What fleets and faults use on this machine, in addition to what their tier needs."""
    reasons = {
        "mosquitto": "brings devices and aggregator together",
        "openssl": "makes certificates, for faults that involve TLS",
    }
    return needed(reasons)


class FedgeProcess:
    """A running `fedge COMMAND`; leaving it as a context stops it.

    All its output is appended to `COMMAND.log` in its folder.

    Args:
        command: such as aggregate.
        folder: where it starts; created if missing.
        flags: such as {"rounds": 3}; True makes a flag without a value.
        environment: in addition to this process's own.
    """

    def __init__(
        self,
        command: str,
        folder: Path,
        flags: Mapping[str, object],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.command, self.log = command, folder / f"{command}.log"
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "fedge", command, *words(flags)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=folder,
                env={**os.environ, "OMP_NUM_THREADS": "1", **(environment or {})},
                start_new_session=True,  # Ctrl-C must not reach it; its starter ends it
            )

    @property
    def exit_code(self) -> int | None:
        """The exit code; None while it runs."""
        return self._process.poll()

    def said(self) -> str:
        """Everything in the log."""
        return self.log.read_text(errors="replace")

    def wait(self, timeout_s: float) -> int:
        """The exit code.

        Raises:
            EmulationError: if it still runs after the time.
        """
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise EmulationError(
                f"`fedge {self.command}` still runs after {timeout_s:g} s; see {self.log}"
            ) from None

    def kill(self) -> None:
        """Send SIGKILL: it cannot say goodbye to anybody."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """Ask it to end; after 20 s, kill it."""
        self._process.terminate()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


def broker(folder: Path, port: int = 0) -> RunningBroker:
    """A mosquitto on 127.0.0.1, its log in the folder; a context that stops it.

    Raises:
        MissingDependencyError: if there is no mosquitto.
        TransportError: if it does not come up.
    """
    return start_broker(port=port, kind="mosquitto", folder=folder)


def port_of(broker: RunningBroker) -> int:
    """The port a broker listens on."""
    return int(broker.url.rpartition(":")[2])


def aggregator(
    folder: Path, broker_url: str, artifact: Path, flags: Mapping[str, object]
) -> FedgeProcess:
    """`fedge aggregate` with its state, `events.jsonl` and `result.json` in the folder."""
    given: dict[str, object] = {
        "broker": broker_url,
        "artifact": artifact.resolve(),
        "state-dir": "state",
        "events": "events.jsonl",
        "json": "result.json",
        "evaluate-every": 0,
    }
    return FedgeProcess("aggregate", folder, {**given, **flags})


def events(folder: Path) -> list[dict[str, Any]]:
    """The events that an aggregator with this folder has written so far, in order."""
    file = folder / "events.jsonl"
    if not file.exists():
        return []
    whole = file.read_text().rpartition("\n")[0]  # the last line may be incomplete
    return [json.loads(line) for line in whole.splitlines()]


def words(flags: Mapping[str, object]) -> Sequence[str]:
    """Flags by name as command-line arguments; True makes a flag without a value."""
    found: list[str] = []
    for name, value in flags.items():
        flag = f"--{name.replace('_', '-')}"
        found += [flag] if value is True else [flag, str(value)]
    return found
