"""A state directory that was copied or put back: from an image of the card, or from a backup.

Real processes, a real broker and the real aggregator, whose database says what counts.
"""

import shutil
import signal
import sqlite3
import time
from pathlib import Path

import pytest

from fedge.messages.identity import SETTLED_S
from tests.support import models
from tests.support.broker import Broker, any_broker
from tests.support.processes import (
    FedgeProcess,
    environment,
    stopping,
    wait_until,
    write_examples,
)

__all__ = ["any_broker"]
pytestmark = pytest.mark.broker

PATIENCE_S = 60.0  # on a machine that has much else to do

ROUNDS, N_IN = 5, 20


def aggregate(folder: Path, url: str) -> FedgeProcess:
    models.linear(n_in=N_IN, batch_size=1).save(folder / "linear.fedge")
    flags = {
        "broker": url, "artifact": folder / "linear.fedge", "state-dir": folder / "agg",
        "rounds": ROUNDS, "wait-for": 1, "quorum": 1, "deadline-s": 60, "batch-size": 1,
        "local-steps": 2000, "lr": 1e-5, "codec": "topk:0.2/float32", "downlink-codec": "none",
        "evaluate-every": 0,
    }  # fmt: skip
    return FedgeProcess("aggregate", folder, flags, env=environment(folder))


def device(folder: Path, url: str, state: Path, *words: str, name: str = "ann") -> FedgeProcess:
    data = write_examples(folder / "data.npz", n=8, n_in=N_IN)
    flags = {"broker": url, "id": name, "state-dir": state, "data": data}
    return FedgeProcess("device", state.parent / f"{state.name}-log", flags, words=words,
                        env=environment(folder))  # fmt: skip


def n_accepted_or_0(folder: Path) -> int:
    try:
        return n_accepted(folder)
    except sqlite3.OperationalError:  # the aggregator has not made it yet
        return 0


def n_accepted(folder: Path) -> int:
    with sqlite3.connect(f"file:{folder / 'agg' / 'state.sqlite3'}?mode=ro", uri=True) as db:
        (found,) = db.execute("SELECT count(*) FROM update_").fetchone()
    db.close()
    return int(found)


def put_back(backup: Path, state: Path) -> None:
    shutil.rmtree(state)
    shutil.copytree(backup, state)


def test_an_old_backup_is_noticed_and_nothing_of_it_is_counted_twice(
    tmp_path: Path, any_broker: Broker
) -> None:
    """The backup is of round 1; the device has gone on to round 3 when it is put back."""
    state, backup = tmp_path / "ann", tmp_path / "backup"
    aggregator = aggregate(tmp_path, any_broker.url)
    with stopping(aggregator):
        ann = device(tmp_path, any_broker.url, state)
        with stopping(ann):
            wait_until(lambda: n_accepted_or_0(tmp_path) >= 1, PATIENCE_S)
            ann.process.send_signal(signal.SIGSTOP)
            shutil.copytree(state, backup)
            ann.process.send_signal(signal.SIGCONT)
            wait_until(lambda: n_accepted_or_0(tmp_path) >= 3, PATIENCE_S)
        before = n_accepted(tmp_path)
        put_back(backup, state)
        ann = device(tmp_path, any_broker.url, state, "--exit-when-finished")
        with stopping(ann):
            assert ann.wait(60) == 0, ann.said()
            assert aggregator.wait(60) == 0, aggregator.said()
    assert f"the aggregator has an update of this device for round {before}" in ann.said()
    assert "it is a copy or an old backup" in ann.said()
    assert n_accepted(tmp_path) == ROUNDS
    assert "Traceback" not in ann.said()


def test_of_a_copied_card_one_device_stays_and_the_copy_is_told_what_to_change(
    tmp_path: Path, any_broker: Broker
) -> None:
    state, copy = tmp_path / "ann", tmp_path / "copy"
    aggregator = aggregate(tmp_path, any_broker.url)
    with stopping(aggregator):
        ann = device(tmp_path, any_broker.url, state)
        with stopping(ann):
            wait_until(lambda: n_accepted_or_0(tmp_path) >= 1, PATIENCE_S)
            time.sleep(SETTLED_S)
            ann.process.send_signal(signal.SIGSTOP)
            shutil.copytree(state, copy)
            ann.process.send_signal(signal.SIGCONT)
            for _ in range(3):  # as a supervisor does, which starts it again and again
                twin = device(tmp_path, any_broker.url, copy)
                with stopping(twin):
                    assert twin.wait(30) == 9, twin.said()
                assert ann.process.poll() is None
            renamed = device(tmp_path, any_broker.url, copy, name="bob")
            with stopping(renamed):
                assert renamed.wait(30) == 2
            wait_until(lambda: n_accepted(tmp_path) == ROUNDS, 60)
            assert ann.process.poll() is None
    said = renamed.said().splitlines()
    assert "fedge: device id 'ann' is in use by another running device" in "\n".join(said)
    assert said[-1].endswith("give each device its own --state-dir")
    assert "belongs to device 'ann'" in said[-1]
