"""Processes killed at bad moments; afterwards every accepted update has been applied once.

Two devices, three rounds that both must answer (quorum 2), a real broker
that keeps nothing, and the real aggregator. The moments are made, not hoped for:
a plan of many local steps for "while training", a stopped process for "while
sending". What counts is read from the aggregator's database.
"""

import shutil
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from fedge.device.state.outbox import Outbox
from tests.support import models
from tests.support.broker import Broker, any_broker
from tests.support.processes import FedgeProcess, environment, wait_until, write_examples

__all__ = ["any_broker"]
pytestmark = [pytest.mark.broker, pytest.mark.slow]

ROUNDS, DEVICES = 3, ("ann", "bob")
STEPS = 2500  # more than half a second of local training
PATIENCE_S = 60.0  # on a machine that has much else to do


class Fleet:
    """An aggregator and two devices as processes, restarted at will in their directories."""

    def __init__(self, folder: Path, broker: Broker) -> None:
        self.folder, self.broker = folder, broker
        self.processes: dict[str, FedgeProcess] = {}
        self.artifact = folder / "linear.fedge"
        models.linear(n_in=40_000, batch_size=1).save(self.artifact)  # an update of three chunks
        for seed, name in enumerate(DEVICES):
            write_examples(folder / f"{name}.npz", n=8, n_in=40_000, seed=seed)

    def start_aggregator(self) -> None:
        flags = {
            "broker": self.broker.url, "artifact": self.artifact, "state-dir": self._state("agg"),
            "rounds": ROUNDS, "wait-for": len(DEVICES), "quorum": len(DEVICES), "deadline-s": 60,
            "local-steps": STEPS, "batch-size": 1, "lr": 1e-7, "codec": "topk:1.0/float32",
            "evaluate-every": 0,
        }  # fmt: skip
        self._start("aggregate", "agg", flags)

    def start_device(self, name: str) -> None:
        flags = {
            "broker": self.broker.url, "id": name, "state-dir": self._state(name),
            "data": self.folder / f"{name}.npz",
        }  # fmt: skip
        self._start("device", name, flags, "--exit-when-finished")

    def start(self) -> None:
        self.start_aggregator()
        for name in DEVICES:
            self.start_device(name)

    def signal(self, name: str, number: signal.Signals) -> None:
        self.processes[name].process.send_signal(number)

    def kill(self, name: str) -> None:
        self.processes[name].stop()

    def said(self, name: str) -> str:
        return self.processes[name].said()

    def wait_for(self, name: str, words: str) -> None:
        """Until this process, or the one before it in its directory, has said these words."""
        wait_until(lambda: words in self.said(name), PATIENCE_S)

    def query(self, question: str) -> list[tuple]:
        (database,) = self._state("agg").glob("*.sqlite3")
        with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as db:
            found = db.execute(question).fetchall()
        db.close()
        return found

    def n_accepted(self, round_: int) -> int:
        return int(self.query(f"SELECT count(*) FROM update_ WHERE round = {round_}")[0][0])  # noqa: S608

    def pending(self, name: str) -> int:
        """Results in the outbox of a device that is not running."""
        box = Outbox(self._state(name) / "outbox.sqlite3", fleet="default", device=name)
        found = len(box.pending())
        box.close()
        return found

    def nonces(self, name: str) -> list[bytes]:
        """Of the results in the outbox of a device, running or not."""
        path = self._state(name) / "outbox.sqlite3"
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
            found = [nonce for (nonce,) in db.execute("SELECT nonce FROM outbox")]
        db.close()
        return found

    def finish(self) -> None:
        """Wait for the end of the job and judge it by what is on the disks."""
        for name, process in self.processes.items():
            assert process.wait(PATIENCE_S) == 0, (name, process.said())
        rows = self.query("SELECT round, device, nonce, applied_in FROM update_ ORDER BY 1, 2")
        every_round = [(r, name) for r in range(1, ROUNDS + 1) for name in DEVICES]
        assert [(round_, device) for round_, device, _, _ in rows] == every_round
        assert [applied for *_, applied in rows] == [round_ for round_, *_ in rows]
        assert len({nonce for _, _, nonce, _ in rows}) == len(rows)
        assert [self.pending(name) for name in DEVICES] == [0, 0]
        for name in self.processes:
            assert "Traceback" not in self.said(name)

    def stop(self) -> None:
        for process in self.processes.values():
            process.stop()

    def _state(self, name: str) -> Path:
        return self.folder / f"{name}-state"

    def _start(self, command: str, name: str, flags: dict, *words: str) -> None:
        self.processes[name] = FedgeProcess(
            command, self.folder / name, flags, words=words, env=environment(self.folder)
        )


@pytest.fixture
def fleet(tmp_path: Path, any_broker: Broker) -> Iterator[Fleet]:
    made = Fleet(tmp_path, any_broker)
    try:
        yield made
    finally:
        made.stop()


def test_nothing_fails_when_nothing_is_killed(fleet: Fleet) -> None:
    fleet.start()
    fleet.finish()


def test_a_device_killed_while_training_trains_the_round_again(fleet: Fleet) -> None:
    fleet.start()
    fleet.wait_for("ann", "round 2: training")
    fleet.kill("ann")
    assert "round 2: trained" not in fleet.said("ann")
    fleet.start_device("ann")
    fleet.finish()
    assert fleet.said("ann").count("round 2: training") == 2


@pytest.mark.parametrize("silent", ["broker", "aggregator"])
def test_a_device_killed_while_sending_sends_the_same_update_again(
    fleet: Fleet, silent: str
) -> None:
    fleet.start()
    fleet.wait_for("ann", "round 2: training")
    if silent == "broker":
        fleet.broker.freeze()
    else:
        fleet.signal("agg", signal.SIGSTOP)
    fleet.wait_for("ann", "round 2: trained")
    fleet.kill("ann")
    assert fleet.pending("ann") == 1
    if silent == "broker":
        fleet.broker.thaw()
    else:
        fleet.signal("agg", signal.SIGCONT)
    fleet.start_device("ann")
    fleet.finish()
    assert fleet.said("ann").count("round 2: training") == 1  # it was not trained again


def test_a_broker_killed_while_devices_train_is_found_again(fleet: Fleet) -> None:
    fleet.start()
    fleet.wait_for("ann", "round 2: training")
    fleet.broker.kill()
    fleet.wait_for("ann", "round 2: trained")
    fleet.broker.restart()
    fleet.finish()
    assert fleet.said("ann").count("connected to") >= 2


def test_an_aggregator_killed_with_half_a_round_goes_on_with_it(fleet: Fleet) -> None:
    fleet.start()
    fleet.wait_for("bob", "round 2: training")
    fleet.signal("bob", signal.SIGSTOP)
    wait_until(lambda: fleet.n_accepted(2) == 1, PATIENCE_S)
    fleet.kill("agg")
    ((applied,),) = fleet.query("SELECT applied_in FROM update_ WHERE round = 2")
    assert applied is None
    fleet.signal("bob", signal.SIGCONT)
    fleet.start_aggregator()
    fleet.finish()
    assert fleet.said("ann").count("round 2: training") == 1


def test_an_aggregator_killed_while_updates_come_gets_them_again(fleet: Fleet) -> None:
    fleet.start()
    fleet.wait_for("ann", "round 2: training")
    fleet.signal("agg", signal.SIGSTOP)
    fleet.wait_for("ann", "round 2: trained")
    fleet.wait_for("bob", "round 2: trained")
    fleet.kill("agg")
    fleet.start_aggregator()
    fleet.finish()
    assert fleet.said("ann").count("round 2: training") == 1


def test_an_aggregator_whose_directory_is_gone_begins_a_new_run_with_the_same_devices(
    fleet: Fleet,
) -> None:
    """What the old run left in the outboxes has the numbers of rounds that the new run opens."""
    fleet.start()
    fleet.wait_for("ann", "round 2: training")
    fleet.signal("agg", signal.SIGSTOP)
    for name in DEVICES:
        fleet.wait_for(name, "round 2: trained")
    old = {nonce for (nonce,) in fleet.query("SELECT nonce FROM update_")}
    old |= {nonce for name in DEVICES for nonce in fleet.nonces(name)}
    assert len(old) == 4
    fleet.kill("agg")
    shutil.rmtree(fleet.folder / "agg-state")
    fleet.start_aggregator()
    fleet.finish()
    assert not old & {nonce for (nonce,) in fleet.query("SELECT nonce FROM update_")}
    for name in DEVICES:
        assert fleet.said(name).count("was started over") == 1
        assert fleet.said(name).count("round 2: training") == 2
