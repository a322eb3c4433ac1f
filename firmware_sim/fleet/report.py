"""The result of a fleet's run as a value, for the table and the JSON file."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from firmware_sim.fleet.members import Member
from firmware_sim.fleet.options import FleetOptions
from firmware_sim.fleet.stage import RECORDS, REPORT


def as_json(options: FleetOptions, events: list[dict[str, Any]]) -> dict[str, Any]:
    """Everything of one run.

    Args:
        options: the run's options.
        events: everything `run` yielded.
    """
    by_kind = {event["event"]: event for event in events}
    rounds = [event for event in events if event["event"] == "round"]
    finished, checked = by_kind["finished"], by_kind["checked"]
    wall_s = by_kind["ended"]["wall_s"]
    return {
        "arguments": {
            **{name: _plain(value) for name, value in asdict(options).items()},
            "members": [member.id for member in options.members],
        },
        "rounds": rounds,
        "accuracy": finished["accuracy"],
        "loss": finished["loss"],
        "model_sha256": finished["model_sha256"],
        "devices": {
            member.id: _device(options.folder, member, wall_s[member.id])
            for member in options.members
        },
        "check": {name: value for name, value in checked.items() if name != "event"},
    }


def _device(folder: Path, member: Member, wall_s: float) -> dict[str, Any]:
    """One device's row; its time is the emulator's and says nothing about the board."""
    own = folder / "devices" / member.id
    report = json.loads((own / REPORT).read_text())
    machine = json.loads((own / RECORDS / "machine.json").read_text())
    payloads = [_payload_bytes(file) for file in sorted((own / RECORDS).glob("round-*.npz"))]
    return {
        "board": member.board.name if member.board else None,
        "title": member.title,
        **machine,
        "engine": report["engine"],
        "rounds_trained": report["rounds_trained"],
        "updates_accepted": report["updates_accepted"],
        "payload_bytes": payloads,
        "sent_bytes": report["sent_bytes"],
        "received_bytes": report["received_bytes"],
        "emulator_wall_s" if member.board else "wall_s": round(wall_s, 2),
        "versions": report["versions"],
    }


def _payload_bytes(file: Path) -> int:
    with np.load(file, allow_pickle=False) as record:
        return int(record["payload"].size)


def _plain(value: object) -> object:
    return str(value) if isinstance(value, Path) else value
