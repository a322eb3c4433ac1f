"""Rounds that used to hang, as processes with a real broker: each is killed, put back or cut off.

Times are short and generous: a round of these fleets takes a tenth of a second, and their
deadlines are a few seconds.
"""

import json
import shutil
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fedge.messages import DeviceState, Presence, Topics
from fedge.transport import Connected, Message
from fedge.transport.mqtt import MqttTransport
from tests.support import models
from tests.support.broker import Broker, any_broker, running
from tests.support.processes import FedgeProcess, environment, wait_until, write_examples

__all__ = ["any_broker"]
pytestmark = [pytest.mark.broker, pytest.mark.slow]

PATIENCE_S = 90.0  # on a machine that has much else to do


class Fleet:
    """Aggregators and devices as processes, each started again and again in its directory."""

    def __init__(self, folder: Path, broker: Broker) -> None:
        self.folder, self.broker = folder, broker
        self.processes: dict[str, FedgeProcess] = {}
        self.artifact = folder / "linear.fedge"
        models.linear().save(self.artifact)

    def aggregate(self, **settings: Any) -> FedgeProcess:
        job = settings.get("job", "default")
        flags = {
            "job": job, "name": f"aggregator-{job}", "artifact": self.artifact,
            "events": self.folder / f"{job}.jsonl", "rounds": 3, "deadline": 4,
            "local-steps": 3, "batch-size": 4, "lr": 0.01, "evaluate-every": 0, **settings,
        }  # fmt: skip
        return self._start("aggregate", job, {name: flags[name] for name in flags})

    def device(self, name: str, **settings: object) -> FedgeProcess:
        data = write_examples(self.folder / f"{name}.npz", seed=len(name))
        flags = {"id": name, "data": data, **settings}
        return self._start("device", name, flags, "--exit-when-finished")

    def state(self, name: str) -> Path:
        return self.folder / name / "state"

    def query(self, question: str, job: str = "default") -> list[tuple]:
        with sqlite3.connect(f"file:{self.state(job) / 'state.sqlite3'}?mode=ro", uri=True) as db:
            return db.execute(question).fetchall()

    def n_closed(self, job: str = "default") -> int:
        (count,) = self.query("SELECT count(*) FROM round WHERE report IS NOT NULL", job)[0]
        return int(count)

    def wait_for_round(self, n: int) -> None:
        events = self.folder / "default.jsonl"
        wait_until(lambda: events.exists() and len(self.events()) >= n, PATIENCE_S)

    def events(self, kind: str = "round", job: str = "default") -> list[dict]:
        lines = map(json.loads, (self.folder / f"{job}.jsonl").read_text().splitlines())
        return [line for line in lines if line["event"] == kind]

    def stop(self) -> None:
        for process in self.processes.values():
            process.stop()

    def _start(
        self, command: str, name: str, flags: dict[str, object], *words: str
    ) -> FedgeProcess:
        folder = self.folder / name
        common = {"broker": self.broker.url, "state-dir": self.state(name)}
        process = FedgeProcess(
            command, folder, {**common, **flags}, words=words, env=environment(self.folder)
        )
        self.processes[name] = process
        return process


@pytest.fixture(params=["iotcore"])
def fleet(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Fleet]:
    with running(request.param, tmp_path / "broker") as broker:
        fleet = Fleet(tmp_path, broker)
        yield fleet
        fleet.stop()


@pytest.fixture
def fleet_on_any(any_broker: Broker, tmp_path: Path) -> Iterator[Fleet]:
    fleet = Fleet(tmp_path, any_broker)
    yield fleet
    fleet.stop()


def publish(broker: Broker, topic: str, payload: bytes) -> None:
    """One retained message, as anybody may send it."""
    transport = MqttTransport(broker.url, "by-hand")
    transport.start()
    transport.publish(topic, payload, retain=True)
    wait_until(lambda: transport.receive(0.05) is None and transport.flush(1.0), 10)
    transport.close()


def retained(broker: Broker, topic: str) -> bytes:
    transport, found = MqttTransport(broker.url, "by-hand"), b""
    transport.subscribe(topic)
    transport.start()
    end_s = time.monotonic() + 10
    while not found and time.monotonic() < end_s:
        event = transport.receive(0.1)
        if isinstance(event, Message):
            found = event.payload
        assert not isinstance(event, Connected) or event.protocol
    transport.close()
    return found


@pytest.mark.parametrize("forgets", [False, True])
def test_an_aggregator_put_back_by_a_round_goes_on(fleet_on_any: Fleet, *, forgets: bool) -> None:
    """With the broker that still knows better, and with one that has come back empty."""
    fleet = fleet_on_any
    settings = {"rounds": 6, "wait-for": 2, "quorum": 2, "local-steps": 4_000}
    aggregator = fleet.aggregate(**settings)
    devices = [fleet.device(name) for name in ("ann", "bob")]
    fleet.wait_for_round(1)
    aggregator.stop()
    shutil.copytree(fleet.state("default"), fleet.folder / "saved")
    aggregator = fleet.aggregate(**settings)
    fleet.wait_for_round(3)
    aggregator.stop()
    if forgets:
        fleet.broker.kill()
        fleet.broker.restart()
    shutil.rmtree(fleet.state("default"))
    shutil.copytree(fleet.folder / "saved", fleet.state("default"))
    again = fleet.aggregate(**settings)
    assert again.wait(PATIENCE_S) == 0
    assert [device.wait(PATIENCE_S) for device in devices] == [0, 0]
    assert "was restored to an older state" in again.said()
    counts = fleet.query("SELECT round, device, count(*) FROM update_ GROUP BY round, device")
    assert {n for *_, n in counts} == {1}
    assert fleet.query("SELECT count(*) FROM update_ WHERE applied_in IS NULL") == [(0,)]


def test_a_device_refused_for_good_hangs_nothing(fleet: Fleet) -> None:
    aggregator = fleet.aggregate(**{"max-examples": 1})
    device = fleet.device("ann")
    wait_until(lambda: "refused" in device.said(), PATIENCE_S)
    wait_until(lambda: "no device could do it" in aggregator.said(), PATIENCE_S)
    aggregator.stop()
    again = fleet.aggregate()
    assert again.wait(PATIENCE_S) == 0
    assert device.wait(PATIENCE_S) == 0


def test_a_quorum_lowered_at_a_restart_closes_the_open_round(fleet: Fleet) -> None:
    aggregator = fleet.aggregate(rounds=1, quorum=2)
    device = fleet.device("ann")
    wait_until(lambda: "accepted the" in device.said(), PATIENCE_S)
    aggregator.stop()
    again = fleet.aggregate(rounds=1, quorum=1)
    assert again.wait(PATIENCE_S) == 0
    assert "changed settings: quorum 2 -> 1" in again.said()


def test_a_plan_changed_at_a_restart_reopens_the_round(fleet: Fleet) -> None:
    aggregator = fleet.aggregate(rounds=1, **{"local-steps": 900_000, "deadline": 600})
    device = fleet.device("ann")
    wait_until(lambda: "training, 900000 steps" in device.said(), PATIENCE_S)
    aggregator.stop()
    again = fleet.aggregate(rounds=1)
    assert again.wait(PATIENCE_S) == 0
    assert "local_steps 900000 -> 3" in again.said()
    assert "training, 3 steps" in device.said()


def test_a_ghost_costs_two_rounds_their_deadline(fleet: Fleet) -> None:
    ghost = DeviceState(presence=Presence.ONLINE, instance=b"died-1st", software="fedge")
    publish(fleet.broker, Topics("default").device_state("ghost"), ghost.to_bytes())
    began_s = time.monotonic()
    aggregator = fleet.aggregate(rounds=8, deadline=3)
    fleet.device("ann")
    assert aggregator.wait(PATIENCE_S) == 0
    assert time.monotonic() - began_s < 8 * 3
    missing = [[one["device"] for one in event["missing"]] for event in fleet.events()]
    assert missing == [["ghost"]] * 2 + [[]] * 6
    assert "missing ghost (silent)" in aggregator.said()


def test_a_state_cleared_by_hand_is_taken_as_gone(fleet: Fleet) -> None:
    topic = Topics("default").device_state("ghost")
    ghost = DeviceState(presence=Presence.ONLINE, instance=b"died-1st", software="fedge")
    publish(fleet.broker, topic, ghost.to_bytes())
    aggregator = fleet.aggregate(rounds=1, deadline=300)
    device = fleet.device("ann")
    wait_until(lambda: "accepted the" in device.said(), PATIENCE_S)
    publish(fleet.broker, topic, b"")
    assert aggregator.wait(PATIENCE_S) == 0
    assert "CBOR" not in aggregator.said()


def test_two_jobs_in_one_fleet_do_not_wait_for_each_other(fleet: Fleet) -> None:
    """One machine takes part in both, with a name and a directory for each."""
    jobs = [fleet.aggregate(job=job, deadline=300) for job in ("gait", "voice")]
    devices = [fleet.device(f"pi-{job}", job=job) for job in ("gait", "voice")]
    devices.append(fleet.device("other-gait", job="gait"))
    assert [job.wait(PATIENCE_S) for job in jobs] == [0, 0]
    assert [device.wait(PATIENCE_S) for device in devices] == [0, 0, 0]
    for job in ("gait", "voice"):
        assert fleet.query("SELECT DISTINCT job FROM update_", job) == [(job,)]


def test_a_crash_loop_does_not_keep_a_round_open(fleet: Fleet) -> None:
    aggregator = fleet.aggregate(rounds=1, deadline=12)
    device = fleet.device("ann")
    ghost = DeviceState(presence=Presence.ONLINE, instance=b"died-1st", software="fedge")
    publish(fleet.broker, Topics("default").device_state("ghost"), ghost.to_bytes())
    wait_until(lambda: "accepted the" in device.said(), PATIENCE_S)
    for _ in range(12):
        time.sleep(7)
        if aggregator.process.poll() is not None:
            break
        aggregator.stop()
        aggregator = fleet.aggregate(rounds=1, deadline=12)
    assert aggregator.process.poll() == 0


def test_a_goodbye_while_the_aggregator_was_down_is_heard(fleet: Fleet) -> None:
    settings = {"rounds": 1, "wait-for": 2, "deadline": 300, "local-steps": 900_000}
    aggregator = fleet.aggregate(**settings)
    ann, bob = fleet.device("ann"), fleet.device("bob")
    wait_until(lambda: "training" in ann.said() and "training" in bob.said(), PATIENCE_S)
    aggregator.stop()
    bob.process.terminate()
    bob.wait()
    again = fleet.aggregate(**{**settings, "local-steps": 3})
    assert again.wait(PATIENCE_S) == 0
    (event,) = fleet.events()
    assert [one["device"] for one in event["missing"]] == ["bob"]


def test_enough_updates_end_a_round(fleet: Fleet) -> None:
    settings = {"rounds": 2, "wait-for": 1, "deadline": 300, "close-after": "1"}
    ghost = DeviceState(presence=Presence.ONLINE, instance=b"died-1st", software="fedge")
    publish(fleet.broker, Topics("default").device_state("ghost"), ghost.to_bytes())
    aggregator = fleet.aggregate(**settings)
    fleet.device("ann")
    assert aggregator.wait(PATIENCE_S) == 0
    assert {one["device"] for event in fleet.events() for one in event["missing"]} == {"ghost"}


def test_a_manifest_that_a_broker_kept_too_long_starts_nothing(fleet: Fleet) -> None:
    """Devices are back before the aggregator; the broker remembers an older round."""
    topic = Topics("default").round("default")
    settings = {"rounds": 4, "local-steps": 4_000}
    aggregator = fleet.aggregate(**settings)
    device = fleet.device("ann")
    fleet.wait_for_round(1)
    old = retained(fleet.broker, topic)
    fleet.wait_for_round(3)
    device.stop()
    aggregator.stop()
    publish(fleet.broker, topic, old)
    device = fleet.device("ann")
    wait_until(lambda: "ignored a manifest of round" in device.said(), PATIENCE_S)
    again = fleet.aggregate(**settings)
    assert again.wait(PATIENCE_S) == 0
    assert device.wait(PATIENCE_S) == 0
    assert "(second" not in device.said()
    assert "it is a copy or an old backup" not in device.said()


def test_a_device_that_was_away_at_the_end_hears_of_it_from_an_empty_broker(fleet: Fleet) -> None:
    aggregator = fleet.aggregate(rounds=1)
    device = fleet.device("ann")
    assert aggregator.wait(PATIENCE_S) == 0
    assert device.wait(PATIENCE_S) == 0
    fleet.broker.kill()
    fleet.broker.restart()
    late = fleet.device("ann")
    wait_until(lambda: late.said().count("connected to") == 2, PATIENCE_S)
    again = fleet.aggregate(rounds=1)
    assert again.wait(PATIENCE_S) == 0
    assert late.wait(PATIENCE_S) == 0


def test_a_device_that_is_there_first_waits_for_the_rounds_that_were_added(fleet: Fleet) -> None:
    assert fleet.aggregate(rounds=1).process.poll() is None
    fleet.device("ann")
    assert fleet.processes["default"].wait(PATIENCE_S) == 0
    assert fleet.processes["ann"].wait(PATIENCE_S) == 0
    device = fleet.device("ann")  # it reads "finished" from the broker's memory
    wait_until(lambda: device.said().count("the job is finished") >= 2, PATIENCE_S)
    again = fleet.aggregate(rounds=3)
    assert again.wait(PATIENCE_S) == 0
    assert device.wait(PATIENCE_S) == 0
    assert fleet.n_closed() == 3
