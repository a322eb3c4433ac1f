"""`fedge device` as a process, against real brokers and an aggregator that a test drives."""

import json
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from fedge.device.state.outbox import Outbox
from fedge.messages import Presence, RoundState
from fedge.transport.mqtt import MqttTransport
from tests.support import models
from tests.support.broker import Broker, any_broker
from tests.support.device_process import start
from tests.support.hostile import HOSTILE, slow_artifact
from tests.support.processes import (
    FedgeProcess,
    environment,
    stopping,
    wait_until,
    write_examples,
)
from tests.support.scripted_aggregator import FLEET, JOB, PLAN, ScriptedAggregator

__all__ = ["any_broker"]
pytestmark = pytest.mark.broker


@pytest.fixture
def aggregator(any_broker: Broker) -> Iterator[ScriptedAggregator]:
    made = ScriptedAggregator(MqttTransport(any_broker.url, "scripted"), models.linear())
    wait_until(lambda: made.is_connected, work=made.work)
    yield made
    made.close()


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
    device = start(tmp_path, "mqtt://127.0.0.1:9", **{"connect-timeout-s": 1.5})
    with stopping(device):
        assert device.wait() == 7
    lines = device.said().splitlines()
    assert sum("waiting for the broker mqtt://127.0.0.1:9" in line for line in lines) == 1
    assert lines[-1].startswith("fedge: the broker mqtt://127.0.0.1:9 was never reached in")


def test_data_that_do_not_fit_the_artifact_skip_the_round_and_say_what_differs(
    tmp_path: Path, any_broker: Broker, aggregator: ScriptedAggregator
) -> None:
    aggregator.announce(1)
    data = write_examples(tmp_path / "wide.npz", n_in=3)
    device = start(tmp_path, any_broker.url, data=data)
    why = "x: expected shape (n, 2), found (40, 3)"
    with stopping(device):
        wait_until(lambda: reasons(aggregator) == {why}, work=aggregator.work)
        assert device.process.poll() is None
    assert f"skipping round 1: {why}" in device.said()


def reasons(aggregator: ScriptedAggregator) -> set[str]:
    """Why rounds were skipped."""
    return {state.skipped.why for state in aggregator.states if state.skipped}


def test_a_file_that_is_no_data_file_gives_exit_code_6(tmp_path: Path) -> None:
    (tmp_path / "wrong.npz").write_bytes(b"PK no zip")
    device = start(tmp_path, "mqtt://127.0.0.1:9", data=tmp_path / "wrong.npz")
    with stopping(device):
        assert device.wait() == 6
    assert "expected an intact .npz file" in device.said().splitlines()[-1]


def test_data_that_come_later_are_waited_for(
    tmp_path: Path, any_broker: Broker, aggregator: ScriptedAggregator
) -> None:
    aggregator.announce(1)
    later = tmp_path / "later.npz"
    device = start(tmp_path, any_broker.url, data=later)
    why = f"examples: expected at least one, found none yet in {later}"
    with stopping(device):
        wait_until(lambda: reasons(aggregator) == {why}, work=aggregator.work)
        write_examples(later)
        wait_until(lambda: len(aggregator.updates) == 1, work=aggregator.work)
    assert device.said().count("no examples yet in") == 1


def _has_skipped(device: FedgeProcess, n_times: int) -> bool:
    return device.said().count("skipping round 1: ") == n_times


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_a_process_outlives_a_hostile_artifact_and_does_the_next_round(
    tmp_path: Path, any_broker: Broker, aggregator: ScriptedAggregator, name: str
) -> None:
    data, words = HOSTILE[name]
    (tmp_path / "secret.bin").write_bytes(b"s" * 64)
    aggregator.announce(1, artifact=aggregator.add_blob(data))
    for n_skips in (1, 2):  # the manifest is retained: a restart meets it again
        device = start(tmp_path, any_broker.url)
        with stopping(device):
            wait_until(partial(_has_skipped, device, n_skips), work=aggregator.work)
            assert words in device.said()
            assert device.process.poll() is None
            if n_skips == 2:
                aggregator.announce(2)
                wait_until(lambda: bool(aggregator.updates), work=aggregator.work)
    assert "Traceback" not in device.said()
    assert any(state.skipped and words in state.skipped.why for state in aggregator.states)
    assert aggregator.updates[0][1] == 2


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_process_within_five_seconds_whatever_the_graph_does(
    tmp_path: Path, any_broker: Broker, number: signal.Signals
) -> None:
    """The engine is in the middle of half a minute of arithmetic, where no handler runs."""
    aggregator = ScriptedAggregator(MqttTransport(any_broker.url, "scripted"), slow_artifact())
    sound = aggregator.add_blob(models.linear().to_bytes())
    aggregator.announce(1)
    device = start(tmp_path, any_broker.url)
    with stopping(device):
        wait_until(lambda: "training, 3 steps" in device.said(), work=aggregator.work)
        time.sleep(2.0)
        began = time.monotonic()
        device.process.send_signal(number)
        assert device.wait() == 128 + number
        assert 3.0 < time.monotonic() - began < 5.0
    assert "ended without waiting" in device.said()
    aggregator.announce(2, artifact=sound)
    device = start(tmp_path, any_broker.url)  # on the same state directory
    with stopping(device):
        wait_until(lambda: bool(aggregator.updates), work=aggregator.work)
    aggregator.close()


def test_a_second_signal_ends_the_process_at_once(tmp_path: Path, any_broker: Broker) -> None:
    aggregator = ScriptedAggregator(MqttTransport(any_broker.url, "scripted"), slow_artifact())
    aggregator.announce(1)
    device = start(tmp_path, any_broker.url)
    with stopping(device):
        wait_until(lambda: "training, 3 steps" in device.said(), work=aggregator.work)
        time.sleep(2.0)
        device.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        began = time.monotonic()
        device.process.send_signal(signal.SIGINT)
        device.wait()
        assert time.monotonic() - began < 1.0
    aggregator.close()


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
