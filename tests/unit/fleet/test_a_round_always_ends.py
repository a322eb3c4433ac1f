"""The law of rounds, on real aggregators and devices, under every fault that has a name.

    Whatever was killed, put back, cloned, misconfigured or cut off: if a quorum of devices that
    can do the round is there, the round closes by its deadline. What a device has learned is in
    the model once, in its residual, or was refused aloud.

Each schedule follows from its seed. `FEDGE_SCHEDULES=first:last` runs others, for instance
`FEDGE_SCHEDULES=100:1100 pytest tests/unit/fleet`.
"""

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fedge.messages import Topics
from tests.support.laws import check_laws
from tests.support.world import AggregatorProcess, DeviceProcess, World, left_behind, value

DEADLINE_S = 10.0
MISSED = 2  # rounds that a silent device may miss
# A round that stands in the way of the next may have to be given up first: after the rounds in
# which silent devices are still waited for, and after the pauses that a device makes between
# two sends.
PATIENCE_S = (MISSED + 2) * DEADLINE_S + 60.0
N_SCHEDULES = 12
N_FAULTS = 14


def _seeds() -> range:
    first, _, last = os.environ.get("FEDGE_SCHEDULES", f"0:{N_SCHEDULES}").partition(":")
    return range(int(first), int(last or int(first) + 1))


class Schedule:
    """A world, and the faults that can be done to it."""

    def __init__(self, world: World) -> None:
        self.world, self.rng = world, world.rng
        self.n_devices = self.rng.randint(2, 4)
        self.quorum = self.rng.randint(1, self.n_devices)
        settings = {
            "rounds": 10_000, "deadline_s": DEADLINE_S, "quorum": self.quorum, "local_steps": 2,
            "batch_size": 4, "lr": 0.05, "max_missed": MISSED, "codec": "topk:0.34/sign",
        }  # fmt: skip
        self.job = world.add_job("one", self.n_devices, **settings)
        if self.rng.random() < 0.3:
            world.add_job("two", 2, **{**settings, "quorum": min(2, self.quorum)})
        self.saved: dict[str, Path] = {}
        self.retained: dict[str, bytes] = {}
        self.past: list[tuple[str, bytes, bool]] = []
        self.log: list[str] = []

    def run(self) -> None:
        faults = [getattr(self, name) for name in dir(self) if name.startswith("fault_")]
        for _ in range(N_FAULTS):
            fault: Callable[[], str | None] = self.rng.choice(faults)
            said = fault()
            self.log.append(f"{self.world.now_s:.2f} {fault.__name__[6:]} {said or ''}".rstrip())
            self.world.live(self.rng.choice([0.25, 0.5, 1, 2, 5, 12]))
        self.heal()

    def heal(self) -> None:
        """All that can be made good without touching a state directory is made good."""
        self.world.bus.copies = lambda _topic, _payload: 1
        for aggregator in self.world.aggregators.values():
            if "max_examples" in aggregator.settings:
                aggregator.kill()
                del aggregator.settings["max_examples"]
        for process in self.world.processes:
            process.start()
            process.join()
        self.log.append(f"{self.world.now_s:.2f} healed")

    # -- faults: each does one thing that was seen in the field, and says to whom

    def fault_kill_aggregator(self) -> str:
        self.job.kill(silently=self.rng.random() < 0.5)
        self.world.live(self.rng.choice([0, 1, 15]))
        self.job.start()
        return self.job.name

    def fault_kill_device(self) -> str:
        device = self._device()
        device.kill(silently=self.rng.random() < 0.5)
        self.world.live(self.rng.choice([0, 1, 15]))
        device.start()
        return device.name

    def fault_ghost(self) -> str:
        """It lost its power, and nobody tells the broker's clients."""
        device = self._device()
        device.kill(silently=True)
        return device.name

    def fault_leave_while_the_aggregator_is_down(self) -> str:
        device = self._device()
        self.job.kill()
        device.leave()
        self.world.live(1)
        self.job.start()
        return device.name

    def fault_return(self) -> None:
        for device in self.world.devices.values():
            device.start()

    def fault_save(self) -> str:
        process = self.rng.choice([self.job, self._device()])
        self.saved[process.name] = process.save()
        return process.name

    def fault_put_back_aggregator(self) -> str:
        if self.job.name in self.saved:
            self.job.put_back(self.saved[self.job.name])
        return self.job.name

    def fault_put_back_device(self) -> str:
        device = self._device()
        if device.name in self.saved:
            device.put_back(self.saved[device.name])
        return device.name

    def fault_refuse(self) -> None:
        """A cap that no update keeps; it is taken off when all is healed."""
        self.job.kill()
        self.job.settings["max_examples"] = 1
        self.job.start()

    def fault_change_settings(self) -> str:
        self.job.kill()
        self.job.settings["quorum"] = self.rng.randint(1, self.n_devices)
        self.job.settings["local_steps"] = self.rng.randint(1, 3)
        self.job.start()
        return f"quorum {self.job.settings['quorum']}"

    def fault_flap(self) -> str:
        process = self.rng.choice(self.world.processes)
        for _ in range(self.rng.randint(1, 5)):
            process.cut()
            self.world.live(self.rng.choice([0.25, 2, 15]))
            process.join()
            self.world.live(0.5)
        return process.name

    def fault_cut(self) -> str:
        process = self.rng.choice(self.world.processes)
        process.cut()
        return process.name

    def fault_broker_restart(self) -> None:
        self.world.bus.restart(keep_retained=self.rng.random() < 0.5)

    def fault_save_broker(self) -> None:
        self.retained = dict(self.world.bus.retained)

    def fault_put_back_broker(self) -> None:
        self.world.bus.retained = dict(self.retained)
        self.world.bus.restart(keep_retained=True)

    def fault_lose_messages(self) -> None:
        share = self.rng.choice([0.1, 0.5])
        self.world.bus.copies = lambda _topic, _payload: int(self.rng.random() > share)

    def fault_duplicate_messages(self) -> None:
        self.world.bus.copies = lambda _topic, _payload: self.rng.randint(1, 2)

    def fault_no_more_loss(self) -> None:
        self.world.bus.copies = lambda _topic, _payload: 1

    def fault_late_messages(self) -> None:
        """What was sent long ago arrives now: updates and replies, not what a broker retains."""
        sent = [one for one in self.world.bus.log[-400:] if not one.retain]
        for one in self.rng.sample(sent, min(5, len(sent))):
            self.world.bus.deliver("the past", one.topic, one.payload, retain=False)

    def fault_clear_a_state(self) -> str:
        """Somebody tidies up by hand."""
        device = self._device()
        topic = Topics("default").device_state(device.name)
        self.world.bus.deliver("a person", topic, b"", retain=True)
        return device.name

    def _device(self) -> DeviceProcess:
        return self.rng.choice(list(self.world.devices.values()))


@pytest.mark.parametrize("seed", _seeds())
def test_a_round_always_ends(tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path, seed, monkeypatch)
    schedule = Schedule(world)
    try:
        schedule.run()
        for aggregator in world.aggregators.values():
            check_rounds_close(world, aggregator, schedule.log)
    finally:
        world.close()
    for aggregator in world.aggregators.values():
        check_laws(aggregator.folder)
        devices = [one for one in world.devices.values() if one.job == aggregator.job]
        was_put_back = "put_back_aggregator" in "\n".join(schedule.log)
        for device in devices:
            check_books(aggregator, device, was_put_back=was_put_back)


def check_rounds_close(world: World, aggregator: AggregatorProcess, log: list[str]) -> None:
    """Two more rounds make a model, each in its time."""
    for _ in range(2):
        before, began_s = n_models(aggregator), world.now_s
        while n_models(aggregator) == before:
            waited_s = world.now_s - began_s
            assert waited_s < PATIENCE_S, "\n".join([*log, *portrait(world, aggregator)])
            world.live(1)


def portrait(world: World, aggregator: AggregatorProcess) -> list[str]:
    """What stands in the way, for whoever looks into a failure."""
    core = aggregator.core
    round_ = core and core._job.round
    lines = [f"{aggregator.name} waits for ever: {round_ and (round_.id, round_.missing)}"]
    if round_:
        lines.append(f"quorum {round_.quorum}, in {round_.accepted}, deadline {round_.deadline_s}")
    if core:
        fleet = core._router.births.fleet
        lines.append(f"online {fleet.online}, silent {fleet.missed}")
        lines.append(f"now {world.now_s}, may tell {core._session and core._session.may_tell}")
    for device in world.devices.values():
        if device.core is not None and device.job == aggregator.job:
            worker = device.core._router.worker
            lines.append(f"{device.name}: {device.core.phase}"[:150])
            lines.append(f"    {worker.followed}, pending {device.core._inbox.sender.n_pending}")
        elif device.job == aggregator.job:
            lines.append(f"{device.name}: not running")
    return lines


def n_models(aggregator: AggregatorProcess) -> int:
    with sqlite3.connect(aggregator.folder / "state.sqlite3") as db:
        return int(db.execute("SELECT count(*) FROM model").fetchone()[0])


def check_books(
    aggregator: AggregatorProcess, device: DeviceProcess, *, was_put_back: bool
) -> None:
    """Nothing counts that was given back, and the sums of all that was learned are whole."""
    with sqlite3.connect(aggregator.folder / "state.sqlite3") as db:
        rows = db.execute("SELECT nonce FROM update_ WHERE device = ?", (device.name,))
        counted = {nonce for (nonce,) in rows}
    books, n_params = device.books, device.world.artifact.n_trainable
    assert not counted & books.given_back
    if device.books.was_restored:
        return  # what it held has been copied or dropped, and it has said so
    assert not books.dropped
    residual, pending = left_behind(device)
    # An aggregator that was put back has forgotten what it accepted since: it counted there.
    gone = books.sent.keys() - pending - books.given_back if was_put_back else counted
    learned = sum((one.astype(np.float64) for one in books.learned.values()), np.zeros(n_params))
    sent = sum((value(books.sent[nonce], n_params) for nonce in gone | pending), np.zeros(n_params))
    assert gone <= books.sent.keys()
    np.testing.assert_allclose(residual + sent, learned, atol=1e-4)
