"""The demo: prepare data and model, start a whole fleet, and report its rounds as they end."""

import json
import time
from collections.abc import Generator, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from fedge import codecs, strategies
from fedge.builder import build_artifact
from fedge.config.fields import variable_prefix
from fedge.config.login import broker_url
from fedge.data import Dataset, read_npz, write_npz
from fedge.errors import ConfigError, FedgeError
from fedge.simulation.data import Parts, digits, part
from fedge.simulation.fleet import Fleet
from fedge.simulation.model import default_loss, default_model
from fedge.simulation.options import OWN_BROKERS, DemoOptions
from fedge.storage import make_private
from fedge.training.plan import Plan
from fedge.transport.broker import RunningBroker, start_broker

_CONNECT_S = 10  # the broker is on this machine, or should be reachable from it
_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Prepared:
    """Everything a run needs, ready before it starts."""

    folder: Path
    artifact: Path
    devices: dict[str, Path]  # each device's own data, and nobody else's
    test: Path
    n_params: int
    n_trainable: int
    artifact_bytes: int  # what each device downloads once
    plan: Plan


def prepare(options: DemoOptions) -> Prepared:
    """Write the artifact, every device's own data file and the test data into the folder."""
    codecs.get(options.codec)
    codecs.get(options.downlink_codec)
    strategies.get(options.strategy)  # better refused now than by a process later
    data = read_npz(options.data) if options.data else digits()
    parts = part(
        data,
        n_devices=options.devices,
        alpha=options.alpha,
        seed=options.seed,
    )
    return _write(options, data, parts)


def _write(options: DemoOptions, data: Dataset, parts: Parts) -> Prepared:
    model = options.model or default_model(data.inputs, data.targets, seed=options.seed)
    loss = options.loss or default_loss(data.targets)
    own_scale = options.data is not None and options.model is None
    artifact = build_artifact(
        model,
        loss=loss,
        batch_size=options.batch_size,
        standardize="federated" if options.standardize or own_scale else None,
    )
    folder = options.out
    make_private(folder)  # every device's own data is in it
    (folder / "data").mkdir()
    artifact.save(folder / "model.fedge")
    for name, own in parts.devices.items():
        write_npz(folder / "data" / f"{name}.npz", own)
    write_npz(folder / "data" / "test.npz", parts.test)
    return Prepared(
        folder=folder,
        artifact=folder / "model.fedge",
        devices={name: folder / "data" / f"{name}.npz" for name in parts.devices},
        test=folder / "data" / "test.npz",
        n_params=artifact.n_params,
        n_trainable=artifact.n_trainable,
        artifact_bytes=(folder / "model.fedge").stat().st_size,
        plan=options.plan(loss),
    )


def play(options: DemoOptions, ready: Prepared) -> Generator[dict[str, Any], None, None]:
    """Start broker, aggregator and devices, and yield the aggregator's events as they come.

    Leaving the iterator at any point stops every process.
    """
    folder = ready.folder
    with Fleet(folder / "logs") as fleet, _Broker(options, folder) as broker:
        yield {"event": "broker", "url": broker.shown, "broker": broker.name}
        env = _login("aggregator", broker.url, options)
        fleet.start("aggregator", _aggregate(options, ready), env=env)
        for name, own in ready.devices.items():
            env = _login("device", broker.url, options)
            fleet.start(name, _device(ready, name, own), env=env)
        yield from _events(fleet, folder / "events.jsonl")
        fleet.stop([*ready.devices, "aggregator"])


def export(ready: Prepared) -> Path:
    """Export the latest model of a run that is over, or was stopped after a round."""
    path = ready.folder / "model.onnx"
    with Fleet(ready.folder / "logs") as fleet:
        fleet.run("export", ["export", str(ready.folder / "aggregator"), "-o", str(path)])
    return path


def reports(ready: Prepared) -> dict[str, dict[str, Any] | None]:
    """What each device reported when it stopped; None if it never got that far."""
    return {name: _read_report(ready.folder, name) for name in ready.devices}


class _Broker:
    """The broker that was asked for, or one of our own while the context lasts.

    Attributes:
        url: possibly with a password.
        shown: the same, fit to be printed.
        name: its program and version.
    """

    def __init__(self, options: DemoOptions, folder: Path) -> None:
        self._own: RunningBroker | None = None
        self.url, self.name = options.broker or "auto", "yours"
        kind = next((kind for kind in OWN_BROKERS if kind == self.url), None)
        if kind is None:
            self.shown = str(broker_url(self.url, options.password_file))
            return
        if options.password_file is not None:
            raise ConfigError("--password-file is for a broker of your own: give --broker URL too")
        self._own = start_broker(kind=kind, folder=folder / "broker")
        self.url = self.shown = self._own.url
        self.name = f"{self._own.kind} {self._own.version}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._own:
            self._own.stop()


def _login(section: str, url: str, options: DemoOptions) -> dict[str, str]:
    """How a process reaches the broker, as variables, which only their owner can read."""
    prefix = variable_prefix(section)
    file = options.password_file
    return {
        f"{prefix}BROKER": url,
        f"{prefix}PASSWORD_FILE": "" if file is None else str(file.absolute()),
    }


def _aggregate(options: DemoOptions, ready: Prepared) -> list[str]:
    n_devices = len(ready.devices)
    return _flags(
        "aggregate",
        fleet="demo",
        job="demo",
        artifact=ready.artifact,
        state_dir=ready.folder / "aggregator",
        test_data=ready.test,
        events=ready.folder / "events.jsonl",
        rounds=options.rounds,
        wait_for=n_devices,
        quorum=max(1, n_devices // 2),
        deadline_s=options.deadline_s,
        give_up_after=3,  # somebody is watching, and should be told rather than kept waiting
        connect_timeout_s=_CONNECT_S,
        strategy=options.strategy,
        downlink_codec=options.downlink_codec,
        **plan_settings(ready.plan),
    )


def _device(ready: Prepared, name: str, own: Path) -> list[str]:
    return _flags(
        "device",
        fleet="demo",
        job="demo",
        id=name,
        data=own,
        state_dir=ready.folder / "devices" / name,
        json=_report(ready.folder, name),
    )


def plan_settings(plan: Plan) -> dict[str, object]:
    """The settings of an aggregator that ask for this plan, by name."""
    return {name: value for name, value in asdict(plan).items() if value is not None}


def _flags(command: str, **options: object) -> list[str]:
    words = [command]
    for name, value in options.items():
        words += [f"--{name.replace('_', '-')}", str(value)]
    return words


def _report(folder: Path, name: str) -> Path:
    return folder / "devices" / f"{name}.json"


def _read_report(folder: Path, name: str) -> dict[str, Any] | None:
    path = _report(folder, name)
    report: dict[str, Any] | None = json.loads(path.read_text()) if path.exists() else None
    return report


def _events(fleet: Fleet, path: Path) -> Iterator[dict[str, Any]]:
    """The aggregator's events, up to the one that says it has finished."""
    rest = b""
    position = 0
    while True:
        ended = fleet.has_ended("aggregator")
        fleet.check()
        if path.exists():
            with path.open("rb") as file:
                file.seek(position)
                new = file.read()
            position += len(new)
            *lines, rest = (rest + new).split(b"\n")
            for line in lines:
                event = json.loads(line)
                yield event
                if event["event"] == "finished":
                    return
        if ended:
            raise FedgeError(f"the aggregator stopped early: {fleet.last_words('aggregator')}")
        time.sleep(_POLL_S)
