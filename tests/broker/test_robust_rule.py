"""A robust rule on a real broker: devices that train, and one that wants the opposite."""

import json
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from fedge import codecs
from fedge.aggregator import open_registry
from fedge.artifact import Artifact
from fedge.codecs import Stamp
from tests.support.aggregator_process import AggregatorProcess, ScriptedFleet
from tests.support.broker import Broker, any_broker
from tests.support.models import linear
from tests.support.processes import FedgeProcess, environment, write_examples

__all__ = ["any_broker"]
pytestmark = pytest.mark.broker

ARTIFACT = linear()
TRUTH = np.array([1, 1, 0], np.float32)  # the target is the sum of the two inputs
ROUNDS = 8


def opposed(artifact: Artifact, _device: str, round_: int) -> bytes:
    """Away from the truth, so far that the norm bound shortens it to twice an honest delta."""
    delta = (2 * 0.6**round_ * (artifact.parameters - TRUTH)).astype(np.float32)
    stamp = Stamp(schema=artifact.schema[:4], round=round_, n_examples=40)
    return codecs.get("none").encode(delta, None, np.random.default_rng(0), stamp=stamp)


def test_a_hostile_device_does_not_keep_the_others_from_learning(
    tmp_path: Path, any_broker: Broker
) -> None:
    """A step leaves 0.88 of the error, a round of five 0.53, eight rounds 0.006.

    A mean of all five, with what the norm bound leaves of the hostile one, would end at 0.08.
    """
    with ExitStack() as stack:
        process = AggregatorProcess(
            tmp_path, any_broker.url, ARTIFACT, strategy="nnm+trimmed_mean:f=1", rounds=ROUNDS,
            quorum=5, codec="none", lr=0.06, seed=1,
            **{"wait-for": 5, "downlink-codec": "none", "local-steps": 5, "batch-size": 20},
        )  # fmt: skip
        stack.callback(process.close)
        fleet = ScriptedFleet(any_broker.url, ARTIFACT, ["eve"], payload=opposed)
        stack.callback(fleet.close)
        process.start()
        for number, name in enumerate(("ann", "bob", "cid", "dan")):
            data = write_examples(tmp_path / f"{name}.npz", seed=number)
            flags = {"broker": any_broker.url, "id": name, "data": data}
            device = FedgeProcess(
                "device",
                tmp_path / name,
                {**flags, "state-dir": tmp_path / name / "state"},
                env=environment(tmp_path),
            )
            stack.callback(device.stop)
        assert fleet.play(lambda: process.exit_code is not None, timeout_s=90)
        assert process.exit_code == 0, process.log
    lines = (tmp_path / "events.jsonl").read_text().splitlines()
    rounds = [event for event in map(json.loads, lines) if event["event"] == "round"]
    assert [one["devices_accepted"] for one in rounds] == [5] * ROUNDS
    assert not any("note" in one for one in rounds)
    assert any("eve" in [clipped["device"] for clipped in one["clipped"]] for one in rounds)
    registry = open_registry(tmp_path / "state")
    left = registry.parameters(registry.latest()) - TRUTH
    assert np.linalg.norm(left) < 0.03 * np.linalg.norm(ARTIFACT.parameters - TRUTH)
