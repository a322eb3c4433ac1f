"""A device with too little memory says so, whatever the limit: never a traceback."""

import sys
from pathlib import Path

import pytest

from fedge.transport.mqtt import MqttTransport
from tests.support import models
from tests.support.broker import Broker, any_broker
from tests.support.processes import FedgeProcess, environment, stopping, wait_until, write_examples
from tests.support.scripted_aggregator import FLEET, JOB, ScriptedAggregator
from tests.support.tools import need_tool

__all__ = ["any_broker"]
pytestmark = [
    pytest.mark.broker,
    pytest.mark.skipif(sys.platform != "linux", reason="prlimit is Linux's"),
]

N_IN = 1_000_000  # 4 MB of parameters, 32 MB of examples


@pytest.mark.parametrize("limit_mib", [50, 90, 120, 160, 200, 240, 280, 320, 1000])
def test_under_every_limit_it_does_the_round_or_says_in_a_sentence_why_not(
    tmp_path: Path, any_broker: Broker, limit_mib: int
) -> None:
    aggregator = ScriptedAggregator(
        MqttTransport(any_broker.url, "scripted"), models.linear(n_in=N_IN)
    )
    aggregator.announce(1)
    flags = {
        "broker": any_broker.url, "fleet": FLEET, "job": JOB, "id": "pi-3",
        "data": write_examples(tmp_path / "data.npz", n=8, n_in=N_IN),
        "state-dir": tmp_path / "state",
    }  # fmt: skip
    limit = [need_tool("prlimit"), f"--as={limit_mib << 20}"]
    device = FedgeProcess("device", tmp_path, flags, env=environment(tmp_path), before=limit)

    def has_ended() -> bool:
        is_over = device.process.poll() is not None
        return is_over or bool(aggregator.updates) or "skipping round " in device.said()

    with stopping(device):
        wait_until(has_ended, 40, work=aggregator.work)
        exit_code = device.process.poll()
    aggregator.close()
    assert "Traceback" not in device.said()
    assert exit_code in ({1} if limit_mib < 100 else {1, None} if limit_mib < 1000 else {None})
    if exit_code is not None:
        # Under some limits OpenBLAS ends the process itself, while NumPy is loaded.
        last = device.said().splitlines()[-1]
        assert last.startswith(("fedge: ", "OpenBLAS error: Memory allocation")), last
        assert "memory" in last.lower()
