"""What a device loads: after a whole round nothing of the builder and the aggregator is there."""

import subprocess
import sys
from pathlib import Path

import pytest

from fedge.messages import RoundState
from fedge.transport.mqtt import MqttTransport
from tests.support import models
from tests.support.broker import Broker, any_broker
from tests.support.processes import environment, wait_until, write_examples
from tests.support.scripted_aggregator import FLEET, JOB, ScriptedAggregator

__all__ = ["any_broker"]
pytestmark = pytest.mark.broker

_DEVICE = """
import sys
from fedge.cli.main import main
code = main(["device", *sys.argv[1:]])
print(*sorted(sys.modules))
sys.exit(code)
"""
FOREIGN = {
    "onnx", "sklearn", "matplotlib", "iotcore", "psutil", "asyncio", "fedge.aggregator",
    "fedge.autodiff", "fedge.builder", "fedge.rounds", "fedge.simulation", "fedge.strategies",
}  # fmt: skip


def test_a_device_that_trained_a_round_has_loaded_nothing_foreign(
    tmp_path: Path, any_broker: Broker
) -> None:
    aggregator = ScriptedAggregator(MqttTransport(any_broker.url, "scripted"), models.linear())
    aggregator.announce(1)
    flags = {
        "broker": any_broker.url, "fleet": FLEET, "job": JOB, "id": "pi-3",
        "data": write_examples(tmp_path / "data.npz"), "state-dir": tmp_path / "state",
    }  # fmt: skip
    words = [word for name, value in flags.items() for word in (f"--{name}", str(value))]
    device = subprocess.Popen(
        [sys.executable, "-c", _DEVICE, *words, "--exit-when-finished"],
        env=environment(tmp_path), stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        wait_until(lambda: aggregator.updates, work=aggregator.work)
        aggregator.announce(1, sequence=11, state=RoundState.FINISHED)
        wait_until(lambda: device.poll() is not None, work=aggregator.work)
    finally:
        device.kill()
        printed, _ = device.communicate()
    aggregator.close()
    loaded = set(printed.split())
    assert {"onnxruntime", "fedge.training.trainer", "paho.mqtt.client"} <= loaded
    assert loaded & FOREIGN == set()
