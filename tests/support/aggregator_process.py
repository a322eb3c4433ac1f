"""`fedge aggregate` in its own process, to be killed, and a fleet of scripted devices."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from fedge.artifact import Artifact
from fedge.transport.mqtt import MqttTransport
from tests.support.scripted import ScriptedDevice, will_of

# The real command in its own process, in which one function ends in SIGKILL. The first call of most
# functions happens at the start, so the second one is used if there are two.
_CRASH = """
import importlib, os, signal, sys
place, when, *words = sys.argv[1:]
module_name, _, path = place.partition(":")
from fedge.cli.main import main
import fedge.aggregator
module = importlib.import_module(module_name)
owner_name, _, name = path.rpartition(".")
owner = getattr(module, owner_name) if owner_name else module
original, calls = getattr(owner, name), 0
nth = 1 if name in ("begin", "announce") else 2

def crashing(*args, **kwargs):
    global calls
    calls += 1
    if calls == nth and when == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    result = original(*args, **kwargs)
    if calls == nth:
        os.kill(os.getpid(), signal.SIGKILL)
    return result

for known in list(sys.modules.values()):
    if getattr(known, name, None) is original and known.__name__.startswith("fedge"):
        setattr(known, name, crashing)
setattr(owner, name, crashing)
sys.exit(main(words))
"""

_LITTLE = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
size = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
from fedge.cli.main import main
sys.exit(main(sys.argv[2:]))
"""


class AggregatorProcess:
    """Starts the command, again and again, with the same flags."""

    def __init__(self, folder: Path, url: str, artifact: Artifact, **flags: object) -> None:
        self.folder, self.n_starts = folder, 0
        artifact.save(folder / "model.fedge")
        given = {
            "broker": url,
            "artifact": folder / "model.fedge",
            "state-dir": folder / "state",
            "events": folder / "events.jsonl",
            "json": folder / "result.json",
            "log-level": "debug",
            "evaluate-every": 0,
            **flags,
        }
        self.flags = [word for name, value in given.items() for word in (f"--{name}", str(value))]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        """The log of all processes so far."""
        return (self.folder / "log").read_text()

    def start(self, *more: str) -> None:
        self._spawn([sys.executable, "-m", "fedge", "aggregate", *self.flags, *more])

    def _spawn(self, command: list[str]) -> None:
        self.n_starts += 1
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stderr=log, stdout=log, env={**os.environ, "OMP_NUM_THREADS": "1"}
            )

    def start_to_crash(self, place: str, when: str) -> None:
        """Start it so that SIGKILL hits it before or after the second call of a function."""
        self._spawn([sys.executable, "-c", _CRASH, place, when, "aggregate", *self.flags])

    def start_with_little_disk(self, size_bytes: int) -> None:
        """Start it so that no file may grow beyond this size: writing fails with an error."""
        self._spawn([sys.executable, "-c", _LITTLE, str(size_bytes), "aggregate", *self.flags])

    @property
    def exit_code(self) -> int | None:
        """The exit code; None while it runs."""
        return None if self._process is None else self._process.poll()

    @property
    def process_id(self) -> int | None:
        """The id of the process started last."""
        return None if self._process is None else self._process.pid

    def kill(self, number: int = signal.SIGKILL) -> int:
        """Send a signal and wait for the end; returns the exit code."""
        assert self._process is not None
        self._process.send_signal(number)
        return self._process.wait(20)

    def wait(self, timeout_s: float = 30) -> int:
        """Wait for it to end by itself."""
        assert self._process is not None
        return self._process.wait(timeout_s)

    def close(self) -> None:
        """Leave nothing running."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()


class ScriptedFleet:
    """Scripted devices on a real broker, driven by the test's own loop."""

    def __init__(
        self, url: str, artifact: Artifact, names: Sequence[str], **options: object
    ) -> None:
        self._transports = [
            MqttTransport(
                url, name, will=will_of("default", name, ScriptedDevice.instance_of(name))
            )
            for name in names
        ]
        self.devices = [
            ScriptedDevice(transport, name, artifact, **options)  # type: ignore[arg-type] # test's own
            for transport, name in zip(self._transports, names, strict=True)
        ]

    def play(self, until: Callable[[], bool], *, timeout_s: float = 30.0) -> bool:
        """Let the devices act until a condition holds; whether it did in time."""
        end_s = time.monotonic() + timeout_s
        while time.monotonic() < end_s:
            if until():
                return True
            if not sum(device.step(time.monotonic()) for device in self.devices):
                time.sleep(0.005)
        return until()

    def have_finished(self) -> bool:
        return all(device.has_finished() for device in self.devices)

    def close(self) -> None:
        for transport in self._transports:
            with suppress(OSError):
                transport.close()
