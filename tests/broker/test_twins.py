"""Two devices with one id, as processes on a real broker."""

from pathlib import Path

import pytest

from fedge.messages.identity import SETTLED_S
from fedge.transport.mqtt import MqttTransport
from tests.support import models
from tests.support.broker import Broker, any_broker
from tests.support.device_process import start
from tests.support.processes import stopping, wait_until
from tests.support.scripted_aggregator import ScriptedAggregator

__all__ = ["any_broker"]
pytestmark = pytest.mark.broker


def test_the_second_of_two_with_one_id_stops_with_exit_code_9_and_the_first_goes_on(
    tmp_path: Path, any_broker: Broker
) -> None:
    aggregator = ScriptedAggregator(MqttTransport(any_broker.url, "scripted"), models.linear())
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    first = start(tmp_path / "first", any_broker.url)
    with stopping(first):
        wait_until(lambda: "connected" in first.said(), work=aggregator.work)
        aggregator.work(SETTLED_S + 0.2)  # from now on the first one has the name
        second = start(tmp_path / "second", any_broker.url)
        with stopping(second):
            wait_until(lambda: second.process.poll() is not None, work=aggregator.work)
        assert second.process.returncode == 9
        assert second.said().splitlines()[-1] == (
            "fedge: device id 'pi-3' is in use by another running device; "
            "give each device its own --id"
        )
        aggregator.announce(1)
        wait_until(lambda: len(aggregator.updates) == 1, work=aggregator.work)
        assert first.process.poll() is None
        assert aggregator.states[-1].presence == "online"
    aggregator.close()


def test_of_two_that_start_together_exactly_one_stays(tmp_path: Path, any_broker: Broker) -> None:
    aggregator = ScriptedAggregator(MqttTransport(any_broker.url, "scripted"), models.linear())
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    both = [start(tmp_path / name, any_broker.url) for name in ("one", "other")]
    with stopping(*both):
        wait_until(
            lambda: any(device.process.poll() is not None for device in both),
            work=aggregator.work,
        )
        aggregator.announce(1)
        wait_until(lambda: len(aggregator.updates) == 1, work=aggregator.work)
        assert sorted(str(device.process.poll()) for device in both) == ["9", "None"]
    aggregator.close()
