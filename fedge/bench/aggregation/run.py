"""Measures one fleet size after the other, each with a broker and an aggregator of its own."""

import secrets
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np

from fedge.aggregator.state.registry import open_registry
from fedge.artifact import Artifact
from fedge.bench.aggregation import figures
from fedge.bench.aggregation.devices import JOB, Devices, Updates
from fedge.bench.aggregation.figures import Figures
from fedge.bench.aggregation.options import Options
from fedge.bench.aggregation.process import AggregatorProcess
from fedge.builder import build_artifact
from fedge.errors import ConfigError, FedgeError
from fedge.messages import RoundManifest, RoundState
from fedge.simulation.model import perceptron
from fedge.transport.broker import start_broker
from fedge.transport.programs import AnyKind
from fedge.transport.url import BrokerUrl

OWN_BROKERS: tuple[AnyKind, ...] = ("auto", "mosquitto", "iotcore")
MOST_DEVICES = 1_000_000  # that a round may wait for, see AggregatorConfig
_N_FEATURES, _N_CLASSES = 64, 10  # as for the digits: a perceptron of 51 466 parameters
_DEADLINE_S = 3600
_CLOSE = 1e-4  # of the largest change: the sum of 60 000 runs in float32


def measure(options: Options, tell: Callable[[str], None]) -> list[Figures]:
    """Measure all sizes, in the given order.

    Args:
        options: what to measure.
        tell: called with each line of progress.

    Raises:
        FedgeError: if a process fails, or a result is wrong.
    """
    model = perceptron((_N_FEATURES,), _N_CLASSES, seed=0)
    artifact = build_artifact(model, loss="cross_entropy", batch_size=16)
    found = []
    for n_devices in options.sizes:
        with tempfile.TemporaryDirectory(prefix="fedge-aggregation-") as folder:
            found.append(_Course(options, artifact, n_devices, Path(folder), tell).run())
    return found


class _Course:
    """A fleet from its births to the end of the job."""

    def __init__(
        self,
        options: Options,
        artifact: Artifact,
        n_devices: int,
        folder: Path,
        tell: Callable[[str], None],
    ) -> None:
        self._options, self._artifact, self._n_devices = options, artifact, n_devices
        self._folder, self._tell = folder, tell
        self._fleet = f"bench-{secrets.token_hex(4)}"  # unique, in case the broker is shared
        self._n_rounds = max(1, -(-options.n_updates // n_devices))
        self._walls_s: list[float] = []
        self._disk_bytes = 0
        self._sizes: list[float] = []

    def run(self) -> Figures:
        """All rounds, then the figures."""
        self._artifact.save(self._folder / "model.fedge")
        with (
            _broker(self._options.broker, self._folder / "broker") as url,
            AggregatorProcess(self._folder, self._flags(url)) as process,
        ):
            devices = Devices(_parsed(url), self._fleet, self._n_devices)
            try:
                self._go(devices, process)
                result = process.result()
                if url == self._options.broker:
                    devices.forget(lambda: None)
            finally:
                devices.close()
        return self._figures(result)

    def _go(self, devices: Devices, process: AggregatorProcess) -> None:
        self._say("births")
        devices.wait_for_aggregator(process.check)
        process.mark()
        devices.be_born(process.check)
        made: dict[int, Updates] = {}
        last = -1
        for number in range(self._n_rounds):
            manifest = _opened(devices.wait_for_round(last, process.check))
            last = manifest.round
            updates = Updates.of_round(
                self._artifact,
                manifest.round,
                codec=self._options.codec,
                n_devices=self._n_devices,
            )
            packets = devices.packets(updates, manifest)
            if number % max(1, self._n_rounds // 10) == 0:
                self._say(f"round {number + 1} of {self._n_rounds}")
            process.mark()
            self._walls_s.append(devices.send(packets, process.check))
            process.mark()
            self._disk_bytes = self._disk_bytes or process.disk_bytes()
            devices.check_replies(manifest)
            made[manifest.round] = updates
            self._sizes.append(float(np.mean([len(one) for one in updates.payloads])))
        devices.wait_for_round(last, process.check)
        process.result()
        for round_, updates in made.items():
            self._check_model(process.state_dir, round_, updates)

    def _check_model(self, state_dir: Path, round_: int, updates: Updates) -> None:
        """FedgeError unless the round's model is the previous one plus the mean of the updates."""
        registry = open_registry(state_dir)
        before = [one for one in registry.models() if one.round is None or one.round < round_][-1]
        after = registry.model(round_)
        if not registry.is_kept(before) or not registry.is_kept(after):
            return  # too old; only the last rounds' models are kept
        change = registry.parameters(after) - registry.parameters(before)
        want = updates.mean(self._n_devices)
        error, most = float(abs(change - want).max()), float(abs(want).max())
        rounding = float(np.spacing(abs(registry.parameters(after)).max()))
        if not error <= _CLOSE * most + rounding:
            raise FedgeError(
                f"the model of round {round_} is not the mean of its updates: a parameter is off"
                f" by {error:.3g}, and the largest change is {most:.3g}"
            )

    def _figures(self, result: dict[str, object]) -> Figures:
        marks, notes = result["marks"], result["notes"]
        assert isinstance(marks, list)  # noqa: S101 - `measured` wrote it
        assert isinstance(notes, dict)  # noqa: S101
        n_updates = self._n_rounds * self._n_devices
        pairs = list(pairwise(marks))
        births, rest = figures.spent(*pairs[0]), pairs[1:]
        total = figures.added([figures.spent(*pair) for pair in rest[::2]])
        closing = [figures.spent(*pair) for pair in rest[1::2]]
        count, peak = total["instructions"], result["peak_bytes"]
        assert peak is None or isinstance(peak, int)  # noqa: S101
        return Figures(
            n_devices=self._n_devices,
            n_updates=n_updates,
            update_bytes=float(np.mean(self._sizes)),
            updates_per_s=n_updates / sum(self._walls_s),
            cpu_us=total["process_ns"] / 1e3 / n_updates,
            stages_us=figures.stages_us(total, n_updates),
            instructions=None if count is None else count / n_updates,
            birth_us=births["process_ns"] / 1e3 / self._n_devices,
            close_us=figures.added(closing)["process_ns"] / 1e3 / n_updates,
            peak_bytes=peak,
            disk_bytes=self._disk_bytes,
            notes=notes,
        )

    def _flags(self, url: str) -> dict[str, object]:
        return {
            "broker": url,
            "fleet": self._fleet,
            "job": JOB,
            "artifact": self._folder / "model.fedge",
            "rounds": self._n_rounds,
            "evaluate-every": 0,
            "quorum": self._n_devices,
            "wait-for": self._n_devices,
            "max-devices": self._n_devices,
            "deadline-s": _DEADLINE_S,
            "codec": self._options.codec,
            "downlink-codec": "none",
            "mqtt": "5",
            "log-level": "warning",
        }

    def _say(self, what: str) -> None:
        self._tell(f"{self._n_devices} devices: {what}")


def _opened(manifest: RoundManifest) -> RoundManifest:
    if manifest.state is not RoundState.OPEN:
        raise FedgeError(f"the job ended before round {manifest.round} opened")
    return manifest


@contextmanager
def _broker(which: str, folder: Path) -> Iterator[str]:
    """A broker for one fleet; its URL."""
    if which not in OWN_BROKERS:
        yield which
        return
    kind: AnyKind = next(one for one in OWN_BROKERS if one == which)
    with start_broker(kind=kind, folder=folder) as broker:
        yield broker.url


def _parsed(url: str) -> BrokerUrl:
    found = BrokerUrl.parse(url)
    if found.is_tls or found.path is not None:
        raise ConfigError(f"the devices of this bench only support mqtt://, found {found}")
    return found
