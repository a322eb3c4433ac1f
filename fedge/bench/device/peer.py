"""Flower's client for comparison: with its own server on loopback, in its own interpreter."""

import json
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import fedge
from fedge.artifact import Slot, load_artifact
from fedge.bench.device import fresh, installed, probe
from fedge.bench.device.figures import Card, Figures
from fedge.errors import ConfigError, FedgeError
from fedge.simulation.demo import Prepared
from fedge.simulation.options import DemoOptions

ROOTS = ("flwr", "torch")
INSTALL = (
    "python3 -m venv flower && flower/bin/pip install torch --index-url"
    " https://download.pytorch.org/whl/cpu && flower/bin/pip install flwr"
)
_START_S = 60.0  # flwr takes seconds to import
_RUN_S = 600.0


@dataclass(frozen=True, slots=True)
class Peer:
    """An interpreter that has Flower and torch."""

    python: str

    def missing(self) -> list[str]:
        """Which packages it lacks.

        Raises:
            ConfigError: if it is not Python, or older than 3.11.
        """
        return [name for name in self._installed().missing if name in ROOTS]

    def measure(self, options: DemoOptions, ready: Prepared, *, repeats: int) -> Card:
        """The same rounds on the same examples, whole float32 models both ways.

        Args:
            options: the rounds.
            ready: the files: the first device's examples, and the network in the artifact.
            repeats: number of start-ups.

        Raises:
            FedgeError: if the server or the client fails; with its last line of output.
        """
        with tempfile.TemporaryDirectory(prefix="fedge-peer-") as folder:
            (Path(folder) / "fedge").symlink_to(Path(fedge.__file__).parent)
            program = _Program(self.python, Path(folder))
            work = _work(ready)
            start = program.start_up(work, repeats)
            rounds = program.rounds(work, options.rounds, ready.plan.local_steps)
            found = self._installed()
        return Card(
            who=" + ".join(f"{name} {found.versions[name]}" for name in ROOTS),
            figures=probe.size(found) | start | rounds,
            installed=found.sizes,
        )

    def _installed(self) -> installed.Installed:
        command = [self.python, "-P", installed.__file__, *ROOTS]
        try:
            done = subprocess.run(  # noqa: S603 - our own script
                command, capture_output=True, text=True, check=True, timeout=_START_S
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise ConfigError(f"{self.python}: expected Python 3.11 or later: {error}") from None
        return installed.Installed(**json.loads(done.stdout))


@dataclass(frozen=True, slots=True)
class _Program:
    """`flower.py` in the peer's interpreter, which finds only fedge among our packages."""

    python: str
    folder: Path  # contains a link to fedge, and nothing else to import

    def start_up(self, work: Sequence[str], repeats: int) -> Figures:
        return fresh.start_up(self._command("start", *work), repeats=repeats, env=self._env())

    def rounds(self, work: Sequence[str], n_rounds: int, n_steps: int | None) -> Figures:
        port, result = _free_port(), self.folder / "client.json"
        server = ["server", "--port", str(port), "--rounds", str(n_rounds)]
        client = ["client", "--port", str(port), "--json", str(result), *work]
        client += ["--steps", str(n_steps)]
        with self._running("server", server) as serving:
            _wait_for(port, serving, self._log("server"))
            with self._running("client", client) as training:
                training.wait(_RUN_S)
        if not result.exists():
            raise FedgeError(f"Flower's client failed: {_last_line(self._log('client'))}")
        return Figures(**json.loads(result.read_text()))

    @contextmanager
    def _running(self, name: str, words: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
        with self._log(name).open("wb") as log:
            process = subprocess.Popen(  # noqa: S603 - our own script
                self._command(*words), stdout=log, stderr=log, env=self._env()
            )
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def _command(self, *words: str) -> list[str]:
        return [self.python, "-P", "-m", "fedge.bench.device.flower", *words]

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def _env(self) -> dict[str, str]:
        """Like our device: one compute thread, no telemetry, nothing in the home directory."""
        own = {"PYTHONPATH": str(self.folder), "FLWR_HOME": str(self.folder / "flwr")}
        threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        return {**os.environ, **threads, **own, "FLWR_TELEMETRY_ENABLED": "0"}


def _work(ready: Prepared) -> list[str]:
    layers = ",".join(map(str, layer_sizes(load_artifact(ready.artifact).layout)))
    data = next(iter(ready.devices.values()))
    words = {"--data": data, "--layers": layers}
    words |= {"--batch-size": str(ready.plan.batch_size), "--lr": str(ready.plan.lr)}
    return [str(word) for pair in words.items() for word in pair]


def layer_sizes(layout: tuple[Slot, ...]) -> list[int]:
    """Units per layer of a perceptron, from its weights [out, in] in order."""
    weights = [slot.shape for slot in layout if slot.kind == "weight" and len(slot.shape) == 2]
    return [weights[0][1], *(shape[0] for shape in weights)]


def _wait_for(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + _START_S
    while time.monotonic() < until and server.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1.0).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise FedgeError(f"Flower's server did not start: {_last_line(log)}")


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port
