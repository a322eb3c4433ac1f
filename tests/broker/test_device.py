"""`fedge device` as a process, against real brokers and an aggregator that a test drives."""

import json
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fedge.device.outbox import Outbox
from fedge.messages import Presence, RoundState
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
from tests.unit.device.scripted import FLEET, JOB, PLAN, ScriptedAggregator

__all__ = ["any_broker"]
pytestmark = pytest.mark.broker


@pytest.fixture
def aggregator(any_broker: Broker) -> Iterator[ScriptedAggregator]:
    made = ScriptedAggregator(MqttTransport(any_broker.url, "scripted"), models.linear())
    wait_until(lambda: made.is_connected, work=made.work)
    yield made
    made.close()


def start(folder: Path, broker: str, *words: str, **flags: object) -> FedgeProcess:
    data = write_examples(folder / "data.npz")
    named = {"broker": broker, "fleet": FLEET, "job": JOB, "id": "pi-3", "data": data}
    state = {"state-dir": folder / "state"}
    return FedgeProcess(
        "device", folder, {**named, **state, **flags}, words=words, env=environment(folder)
    )


def pending(folder: Path) -> list[bytes]:
    box = Outbox(folder / "state" / "outbox.sqlite3", fleet=FLEET, device="pi-3")
    found = box.pending()
    box.close()
    return found


def test_a_process_trains_rounds_and_ends_with_the_job(
    tmp_path: Path, any_broker: Broker, aggregator: ScriptedAggregator
) -> None:
    aggregator.announce(1)
    report_file = tmp_path / "report.json"
    device = start(tmp_path, any_broker.url, "--exit-when-finished", json=report_file)
    with stopping(device):
        wait_until(lambda: len(aggregator.updates) == 1, work=aggregator.work)
        aggregator.announce(2)
        wait_until(lambda: len(aggregator.updates) == 2, work=aggregator.work)
        aggregator.announce(2, sequence=21, state=RoundState.FINISHED)
        assert device.wait() == 0
        aggregator.work(0.2)
    report = json.loads(report_file.read_text())
    assert report["id"] == "pi-3"
    assert (report["rounds_trained"], report["updates_accepted"]) == (2, 2)
    assert report["sent_bytes"] > 0
    by_round = report["received_bytes_by_round"]
    assert list(by_round) == ["1", "2"]
    # What comes after the last step, such as the own farewell, belongs to no round.
    assert 0 <= report["received_bytes"] - sum(by_round.values()) < 200
    assert 10_000_000 < report["peak_rss_bytes"] < 400_000_000
    assert report["cpu_s"] > 0
    assert {"fedge", "python", "numpy", "onnxruntime"} <= set(report["versions"])
    assert pending(tmp_path) == []
    assert [state.presence for state in aggregator.states][-1] is Presence.OFFLINE


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_training_ends_it_cleanly_with_exit_code_0(
    tmp_path: Path, any_broker: Broker, number: signal.Signals
) -> None:
    aggregator = ScriptedAggregator(MqttTransport(any_broker.url, "scripted"), models.linear())
    aggregator.announce(1, plan=replace(PLAN, local_steps=10**6))
    device = start(tmp_path, any_broker.url)
    with stopping(device):
        wait_until(lambda: "training" in device.said(), work=aggregator.work)
        began = time.monotonic()
        device.process.send_signal(number)
        assert device.wait() == 0
        assert time.monotonic() - began < 3.0
        aggregator.work(0.2)
    assert "abandoned after" in device.said()
    assert "Traceback" not in device.said()
    assert [state.presence for state in aggregator.states][-1] is Presence.OFFLINE
    assert aggregator.updates == []
    aggregator.close()


def test_a_broker_that_is_not_there_is_waited_for_said_once_and_then_exit_code_7(
    tmp_path: Path,
) -> None:
    device = start(tmp_path, "mqtt://127.0.0.1:9", **{"connect-timeout": 1.5})
    with stopping(device):
        assert device.wait() == 7
    lines = device.said().splitlines()
    assert sum("waiting for the broker mqtt://127.0.0.1:9" in line for line in lines) == 1
    assert lines[-1].startswith("fedge: the broker mqtt://127.0.0.1:9 was never reached in")


def test_data_that_do_not_fit_the_artifact_give_exit_code_6_and_what_differs(
    tmp_path: Path, any_broker: Broker, aggregator: ScriptedAggregator
) -> None:
    aggregator.announce(1)
    data = write_examples(tmp_path / "wide.npz", n_in=3)
    device = start(tmp_path, any_broker.url, data=data)
    with stopping(device):
        wait_until(lambda: device.process.poll() is not None, work=aggregator.work)
    assert device.process.returncode == 6
    assert device.said().splitlines()[-1] == "fedge: x: expected shape (n, 2), found (40, 3)"


def test_a_full_disk_gives_exit_code_8_in_one_sentence(tmp_path: Path, any_broker: Broker) -> None:
    """A limit on the size of files stands in for the disk: 16 KiB, and the artifact is larger."""
    aggregator = ScriptedAggregator(
        MqttTransport(any_broker.url, "scripted"), models.linear(n_in=30_000)
    )
    aggregator.announce(1)
    write_examples(tmp_path / "data.npz")
    limited = ["sh", "-c", 'ulimit -f 96; trap "" XFSZ; exec "$0" "$@"']
    flags = {
        "broker": any_broker.url, "fleet": FLEET, "job": JOB, "id": "pi-3",
        "data": tmp_path / "data.npz", "state-dir": tmp_path / "state",
    }  # fmt: skip
    device = FedgeProcess("device", tmp_path, flags, before=limited, env=environment(tmp_path))
    with stopping(device):
        wait_until(lambda: device.process.poll() is not None, work=aggregator.work)
    assert device.process.returncode == 8, device.said()
    assert device.said().splitlines()[-1].startswith("fedge: cannot write ")
    aggregator.close()
