"""What a demo measured, as a value for the table, the plot and the JSON file."""

import hashlib
import platform
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fedge.simulation.demo import Prepared
from fedge.simulation.options import OWN_BROKERS, DemoOptions
from fedge.transport.url import BrokerUrl
from fedge.version import installed

_PACKAGES = ("fedge", "numpy", "onnxruntime", "onnx", "paho-mqtt", "scikit-learn", "iotcore")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The events of one run, in order, and what the devices reported at the end."""

    rounds: list[dict[str, Any]]  # of kind training
    setup: list[dict[str, Any]]  # rounds before the first training: statistics
    devices: dict[str, dict[str, Any] | None]
    model: Path
    wall_s: float
    broker: str
    is_whole: bool  # if not, somebody stopped it after these rounds


def as_json(options: DemoOptions, ready: Prepared, measured: Measured) -> dict[str, Any]:
    """Everything about one run; bytes are MQTT payload bytes, counted as they pass.

    Up is what all devices together sent, down what they received, without the artifact.
    """
    received = _by_round(measured.devices, "received_bytes_by_round")
    artifact = _by_round(measured.devices, "artifact_bytes_by_round")
    model_bytes = 4 * ready.n_params
    rounds = [_round(event, received, artifact, model_bytes) for event in measured.rounds]
    if rounds and not measured.setup:
        rounds[0]["float32_downlink_bytes"] = 0  # the artifact contains the first model
    every = [*measured.setup, *measured.rounds]
    return {
        "versions": _versions(measured.broker),
        "arguments": _arguments(options) | ready.plan.to_wire(),
        "is_whole": measured.is_whole,
        "n_devices": len(ready.devices),
        "n_params": ready.n_params,
        "n_trainable": ready.n_trainable,
        "rounds": rounds,
        "totals": {
            "uplink_bytes": sum(event["uplink_bytes"] for event in every),
            "downlink_bytes": sum(received.values()) - sum(artifact.values()),
            "artifact_bytes": sum(artifact.values()),
            "float32_downlink_bytes": sum(row["float32_downlink_bytes"] for row in rounds),
            "float32_uplink_bytes": sum(event["float32_uplink_bytes"] for event in every),
            "devices_accepted": sum(event["devices_accepted"] for event in measured.rounds),
            "devices_late": sum(event["devices_late"] for event in measured.rounds),
            "devices_lost": sum(event["devices_lost"] for event in measured.rounds),
            "refused": sum(event["refused"] for event in every),
            "wall_s": measured.wall_s,
        },
        "devices": {name: _device(report) for name, report in sorted(measured.devices.items())},
        "model": {
            "path": str(measured.model),
            "sha256": hashlib.sha256(measured.model.read_bytes()).hexdigest(),
        },
        "data": {"test": str(ready.test), "folder": str(ready.folder)},
    }


@dataclass(frozen=True, slots=True)
class Reached:
    """The first round that is good enough, and what all devices sent and received up to it."""

    round: int
    uplink_bytes: int
    downlink_bytes: int

    @property
    def both_bytes(self) -> int:
        return self.uplink_bytes + self.downlink_bytes


def reach(accuracy: float, rounds: list[dict[str, Any]]) -> Reached | None:
    """When this test accuracy was reached; None if it never was."""
    up = down = 0
    for row in rounds:
        up += row["uplink_bytes"]
        down += row["downlink_bytes"]
        if row["accuracy"] is not None and row["accuracy"] >= accuracy:
            return Reached(row["round"], up, down)
    return None


def human(size_bytes: float) -> str:
    """A size as a person reads it: 640 B, 12.3 kB, 4.56 MB."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size_bytes >= scale:
            return f"{size_bytes / scale:.3g} {unit}"
    return f"{size_bytes:.0f} B"


def _round(
    event: dict[str, Any],
    received: dict[int, int],
    artifact: dict[int, int],
    model_bytes: int,
) -> dict[str, Any]:
    """The row of a round; with float32 each device that answered would have got the whole model."""
    fields = (
        "round",
        "accuracy",
        "loss",
        "uplink_bytes",
        "float32_uplink_bytes",
        "devices_accepted",
        "devices_late",
        "devices_lost",
        "wall_s",
    )
    return {
        **{name: event[name] for name in fields},
        "downlink_bytes": received.get(event["round"], 0) - artifact.get(event["round"], 0),
        "artifact_bytes": artifact.get(event["round"], 0),
        "float32_downlink_bytes": event["devices_accepted"] * model_bytes,
        "published_bytes": event["downlink_bytes"],
    }


def _by_round(devices: dict[str, dict[str, Any] | None], name: str) -> dict[int, int]:
    """Payload bytes of all devices together in each round, as they counted them."""
    total: dict[int, int] = {}
    for report in devices.values():
        for round_, size in (report or {}).get(name, {}).items():
            total[int(round_)] = total.get(int(round_), 0) + size
    return total


def _device(report: dict[str, Any] | None) -> dict[str, Any]:
    if report is None:
        return {"lost": True}
    return {
        name: report[name]
        for name in (
            "peak_rss_bytes",
            "cpu_s",
            "sent_bytes",
            "received_bytes",
            "updates_accepted",
            "updates_refused",
        )
    }


def _versions(broker: str) -> dict[str, str]:
    found = {"python": platform.python_version(), "machine": platform.machine(), "broker": broker}
    return found | {"platform": sys.platform} | installed(_PACKAGES)


def _arguments(options: DemoOptions) -> dict[str, object]:
    """What was asked for, without a password."""
    found = {name: _plain(value) for name, value in asdict(options).items()}
    if options.broker not in (None, *OWN_BROKERS):
        found["broker"] = str(BrokerUrl.parse(options.broker or ""))
    return found


def _plain(value: object) -> object:
    return str(value) if isinstance(value, Path) else value
