"""The whole card on one machine: broker, aggregator and measured device, one process each."""

import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from fedge.bench.device.figures import Card
from fedge.bench.device.options import Options
from fedge.bench.device.peer import INSTALL, Peer
from fedge.simulation.data import N_DEVICES
from fedge.simulation.demo import Prepared, plan_settings, prepare
from fedge.simulation.fleet import Fleet
from fedge.simulation.options import DemoOptions
from fedge.transport.broker import start_broker

_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Result:
    """Our card, then the peer's, and notes about peers that were not measured."""

    cards: list[Card]
    missing: list[str]


def measure(options: Options, tell: Callable[[str], None]) -> Result:
    """Measures everything, one program after the other.

    Args:
        options: the work, the same for all.
        tell: takes a line of progress.

    Raises:
        FedgeError: if a process fails; with its last line of output.
    """
    with tempfile.TemporaryDirectory(prefix="fedge-card-") as folder:
        work = as_demo(options, Path(folder))
        ready = prepare(work)
        tell(f"fedge: {options.rounds} rounds of {ready.plan.local_steps} steps")
        cards, missing = [_own(work, ready, options)], []
        if options.peer_python is not None:
            peer = Peer(options.peer_python)
            missing = peer.missing()
            if not missing:
                tell("flower: the same")
                cards.append(peer.measure(work, ready, repeats=options.repeats))
    return Result(cards, [f"{name}: {INSTALL}" for name in missing])


def as_demo(options: Options, folder: Path) -> DemoOptions:
    """The job, with its files in a folder."""
    known = {item.name for item in fields(DemoOptions)}
    asked: dict[str, Any] = {
        name: value
        for name, value in asdict(options).items()
        if name in known and value is not None
    }
    return DemoOptions(out=folder, devices=N_DEVICES, **asked)


def _own(demo: DemoOptions, ready: Prepared, options: Options) -> Card:
    folder = ready.folder
    result = folder / "device.json"
    with (
        start_broker(kind="auto", folder=folder / "broker") as broker,
        Fleet(folder / "logs") as fleet,
    ):
        fleet.start("aggregator", _words("aggregate", _aggregate(demo, ready, broker.url)))
        device = {
            "broker": broker.url,
            "data": next(iter(ready.devices.values())),
            "state-dir": folder / "device",
            "repeats": options.repeats,
            "engine": options.engine,
            "json": result,
        }
        fleet.start("device", ["bench", *_words("device", device)])
        while not fleet.has_ended("device"):
            fleet.check()
            time.sleep(_POLL_S)
        fleet.check()
    return Card.from_json(json.loads(result.read_text())["cards"][0])


def _aggregate(demo: DemoOptions, ready: Prepared, url: str) -> dict[str, Any]:
    return {
        "broker": url,
        "artifact": ready.artifact,
        "state-dir": ready.folder / "aggregator",
        "rounds": demo.rounds,
        "evaluate_every": 0,
        "downlink-codec": demo.downlink_codec,
        "deadline-s": demo.deadline_s,
        **plan_settings(ready.plan),
    }


def _words(command: str, flags: dict[str, Any]) -> list[str]:
    words = [command]
    for name, value in flags.items():
        words += [f"--{name.replace('_', '-')}", str(value)]
    return words
