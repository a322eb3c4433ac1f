"""The whole card on one machine: broker, aggregator and measured device, one process each."""

import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedge.bench.device.figures import Card
from fedge.bench.device.peer import INSTALL, Peer
from fedge.simulation.demo import DemoOptions, Prepared, prepare
from fedge.simulation.fleet import Fleet
from fedge.transport.broker import start_broker

_N_DEVICES = 8  # share the digits, as in the demo; one of them takes part
_POLL_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What to measure.

    Attributes:
        rounds: rounds of local training; the first one's cost is not counted.
        local_steps: optimizer steps per round.
        batch_size: examples per step.
        codec: for updates.
        downlink_codec: for models.
        repeats: number of start-ups, in fresh interpreters.
        engine: what trains on our device: auto, onnxruntime or reference.
        peer_python: an interpreter with Flower and torch; None measures no peer.
    """

    rounds: int = 20
    local_steps: int = 20
    batch_size: int = 16
    codec: str = "topk:0.01/sign"
    downlink_codec: str = "topk:0.03/sign"
    repeats: int = 5
    engine: str = "auto"
    peer_python: str | None = None


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
        tell(f"fedge: {options.rounds} rounds of {options.local_steps} steps")
        cards, missing = [_own(work, ready, options)], []
        if options.peer_python is not None:
            peer = Peer(options.peer_python)
            missing = peer.missing()
            if not missing:
                tell("flower: the same")
                cards.append(peer.measure(work, ready, repeats=options.repeats))
    return Result(cards, [f"{name}: {INSTALL}" for name in missing])


def as_demo(options: Options, folder: Path) -> DemoOptions:
    """The job, with its files in this folder."""
    return DemoOptions(
        folder=folder,
        n_devices=_N_DEVICES,
        rounds=options.rounds,
        local_steps=options.local_steps,
        batch_size=options.batch_size,
        codec=options.codec,
        downlink_codec=options.downlink_codec,
    )


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
        "local-steps": demo.local_steps,
        "batch-size": demo.batch_size,
        "lr": ready.lr,
        "codec": demo.codec,
        "downlink-codec": demo.downlink_codec,
        "deadline-s": demo.deadline_s,
        "seed": demo.seed,
    }


def _words(command: str, flags: dict[str, Any]) -> list[str]:
    return [command, *(word for name, value in flags.items() for word in (f"--{name}", str(value)))]
