"""A device is put aside while its aggregator runs, by the rule and by the command."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedge import codecs
from fedge.artifact import Artifact
from fedge.codecs import Stamp
from tests.support.aggregator_process import AggregatorProcess, ScriptedFleet
from tests.support.broker import Broker
from tests.support.models import softmax

pytestmark = pytest.mark.broker

NAMES = ("ann", "bob", "cid", "dan", "eve", "fay")
ARTIFACT = softmax(n_in=100)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def payload(artifact: Artifact, name: str, round_: int) -> bytes:
    """Every device sends 1 with a little noise of its own, eve ten times the opposite."""
    rng = np.random.default_rng([round_, *name.encode()])
    delta = rng.normal(1, 0.1, artifact.n_trainable) * (-10 if name == "eve" else 1)
    stamp = Stamp(schema=artifact.schema[:4], round=round_, n_examples=50)
    return codecs.get("none").encode(delta.astype(np.float32), None, rng, stamp=stamp)


def rounds(folder: Path) -> list[dict[str, Any]]:
    path = folder / "events.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return [event for event in map(json.loads, lines) if event["event"] == "round"]


def command(folder: Path, *words: str) -> None:
    """In a process of its own, as somebody at a terminal runs it."""
    line = [
        sys.executable,
        "-m",
        "fedge",
        "quarantine",
        *words,
        "--state-dir",
        str(folder / "state"),
    ]
    done = subprocess.run(line, capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == 0, done.stderr


def test_by_the_rule_and_by_the_command_while_it_runs(
    stack: ExitStack, tmp_path: Path, any_broker: Broker
) -> None:
    process = AggregatorProcess(
        tmp_path, any_broker.url, ARTIFACT, codec="none", quorum=6, rounds=1000, **{"wait-for": 6}
    )
    stack.callback(process.close)
    fleet = ScriptedFleet(any_broker.url, ARTIFACT, NAMES, payload=payload)
    stack.callback(fleet.close)
    process.start()

    def closed(n_more: int) -> Callable[[], bool]:
        n = len(rounds(tmp_path)) + n_more
        return lambda: len(rounds(tmp_path)) >= n

    assert fleet.play(closed(5)), process.log
    began = [one["device"] for event in rounds(tmp_path) for one in event["quarantine_began"]]
    assert began == ["eve"]
    command(tmp_path, "add", "bob", "--reason", "its sensor is wet")
    assert fleet.play(closed(2)), process.log
    bob, eve = rounds(tmp_path)[-1]["quarantined"]
    assert (bob["device"], bob["by"], bob["reason"]) == ("bob", "hand", "its sensor is wet")
    assert (eve["device"], eve["by"]) == ("eve", "rule")
    command(tmp_path, "release", "bob")
    assert fleet.play(closed(2)), process.log
    assert [one["device"] for one in rounds(tmp_path)[-1]["quarantined"]] == ["eve"]
    n_closed = len(rounds(tmp_path))
    assert all(len(device.accepted) >= n_closed for device in fleet.devices)
    assert process.exit_code is None
