"""A device where onnxruntime does not exist: it trains all the same, and says on what."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from fedge import codecs
from fedge.messages import RoundState
from fedge.simulation.report import reach
from fedge.training.engines import ENGINES
from fedge.transport.mqtt import MqttTransport
from tests.support import models
from tests.support.broker import Broker, any_broker
from tests.support.processes import (
    FedgeProcess,
    environment,
    stopping,
    wait_until,
    write_examples,
)
from tests.support.scripted_aggregator import FLEET, JOB, ScriptedAggregator
from tests.support.without import without

__all__ = ["any_broker"]
pytestmark = pytest.mark.broker


def device(folder: Path, broker: Broker, env: Mapping[str, str], **more: object) -> FedgeProcess:
    flags = {
        "broker": broker.url, "fleet": FLEET, "job": JOB, "id": "zero",
        "data": write_examples(folder / "data.npz"), "state-dir": folder / "state",
        "json": folder / "report.json", **more,
    }  # fmt: skip
    return FedgeProcess("device", folder, flags, words=["--exit-when-finished"], env=env)


def train_a_round(
    folder: Path, broker: Broker, env: Mapping[str, str], **more: object
) -> tuple[ScriptedAggregator, FedgeProcess]:
    """From a device's start to the end of its job, which has one round."""
    aggregator = ScriptedAggregator(MqttTransport(broker.url, "scripted"), models.linear())
    aggregator.announce(1)
    process = device(folder, broker, env, **more)
    with stopping(process):
        wait_until(lambda: aggregator.updates, 30.0, work=aggregator.work)
        aggregator.announce(1, sequence=11, state=RoundState.FINISHED)
        wait_until(lambda: process.process.poll() is not None, 30.0, work=aggregator.work)
    aggregator.close()
    assert process.process.returncode == 0, process.said()
    return aggregator, process


def test_a_device_without_onnxruntime_says_so_once_and_trains(
    tmp_path: Path, any_broker: Broker
) -> None:
    env = without(tmp_path / "site", "onnxruntime", env=environment(tmp_path))
    aggregator, process = train_a_round(tmp_path, any_broker, env)
    said = [line for line in process.said().splitlines() if "WARNING" in line.upper()]
    assert len(said) == 1
    assert "onnxruntime is not available (No module named 'onnxruntime')" in said[0]
    assert "reference engine" in said[0]
    assert "docs/engines.md" in said[0]
    assert {state.engine for state in aggregator.states} == {"reference"}
    assert json.loads((tmp_path / "report.json").read_text())["engine"] == "reference"


def test_both_engines_send_the_same_update(tmp_path: Path, any_broker: Broker) -> None:
    sent = {}
    for engine in ENGINES:
        folder = tmp_path / engine
        folder.mkdir()
        aggregator, process = train_a_round(folder, any_broker, environment(folder), engine=engine)
        assert "WARNING" not in process.said().upper()
        assert aggregator.states[-1].engine == engine
        ((_, _, _, payload),) = aggregator.updates
        sent[engine] = codecs.decode(payload).to_dense()
    # Steps of a few sums with a few terms each: some roundings of 6e-8.
    np.testing.assert_allclose(sent["reference"], sent["onnxruntime"], rtol=1e-5)


@pytest.mark.parametrize(
    ("engine", "missing", "advice"),
    [
        ("onnxruntime", ["onnxruntime"], "pip install onnxruntime, or use the reference engine"),
        ("reference", ["onnx"], "pip install 'fedge[reference]'"),
        ("auto", ["onnx", "onnxruntime"], "nothing to train with"),
    ],
)
def test_an_engine_that_is_not_there_ends_the_device_with_one_sentence(
    engine: str, missing: list[str], advice: str, tmp_path: Path, any_broker: Broker
) -> None:
    env = without(tmp_path / "site", *missing, env=environment(tmp_path))
    process = device(tmp_path, any_broker, env, engine=engine)
    with stopping(process):
        assert process.wait() == 11
    (line,) = process.said().splitlines()
    assert advice in line


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_fleet_on_the_reference_engine_learns_the_digits_as_fast(tmp_path: Path) -> None:
    """On onnxruntime it is round 11 (docs/measurements.md); rounding may cost or gain a few."""
    done = subprocess.run(
        [sys.executable, "-m", "fedge", "demo", "--rounds", "14", "--out", str(tmp_path / "out")],
        env={**os.environ, "FEDGE_DEVICE_ENGINE": "reference", "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    found = reach(0.95, result["rounds"])
    assert found is not None
    assert [row["devices_accepted"] for row in result["rounds"]] == [8] * 14
    reports = sorted((tmp_path / "out" / "devices").glob("*.json"))
    assert [json.loads(path.read_text())["engine"] for path in reports] == ["reference"] * 8
