"""Devices that really train, each on classes of its own: nobody honest is ever put aside."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from fedge import codecs
from fedge.artifact import Artifact
from fedge.bench.codecs.tasks import Task, get
from fedge.codecs import Stamp
from fedge.data import Dataset
from fedge.messages.update import Facts
from fedge.simulation.data import part
from fedge.training import ArrayData, Trainer
from fedge.training.plan import Plan
from tests.support.aggregator_by_hand import Bench
from tests.support.sent_values import events
from tests.support.tools import data_file

ROUNDS = 8


class Fleet:
    """Devices of a task, of which some send ten times the opposite of what they learned."""

    def __init__(
        self, folder: Path, task: Task, devices: Mapping[str, Dataset], codec: str, n_hostile: int
    ) -> None:
        data = task.load()
        artifact = task.build(data, seed=0)
        self.trainer, self.codec = Trainer(artifact), codecs.get(codec)
        self.plan = Plan(lr=task.lr, local_steps=20)
        self.data = {name: ArrayData.of(own) for name, own in devices.items()}
        self.hostile = sorted(devices)[:n_hostile]
        self.residuals = {name: np.zeros(artifact.n_trainable, np.float32) for name in self.data}
        n = len(devices)
        self.bench = Bench(folder, artifact=artifact, wait_for=n, quorum=n, rounds=ROUNDS)
        self.bench.add(*devices, payload=self.payload)
        self.bench.settle(n_steps=200 * ROUNDS)

    def payload(self, artifact: Artifact, name: str, round_: int) -> bytes:
        update = self.trainer.fit(
            self.bench.aggregator._job.model.parameters, self.data[name], self.plan
        )
        delta = -10 * update.delta if name in self.hostile else update.delta
        self.bench.devices[name].facts = Facts.of(update)
        stamp = Stamp(schema=artifact.schema[:4], round=round_, n_examples=update.n_examples)
        residual = self.residuals[name] if self.codec.uses_residual else None
        rng = np.random.default_rng((round_, len(name)))
        return self.codec.encode(delta, residual, rng, stamp=stamp)

    def began(self) -> list[tuple[int, str]]:
        """Who was put aside, and after which round."""
        found = events(self.bench)
        assert len(found) == ROUNDS
        return [
            (event["round"], one["device"]) for event in found for one in event["quarantine_began"]
        ]


def digits() -> tuple[Task, Mapping[str, Dataset]]:
    """Twelve devices, most of which have two to seven of the ten classes: 12 to 409 examples."""
    task = get("digits")
    return task, part(task.load(), n_devices=12, alpha=0.1, seed=4).devices


@pytest.mark.parametrize("codec", ["topk:0.01/sign", "none"])
def test_honest_devices_with_classes_of_their_own_are_left_alone(
    tmp_path: Path, codec: str
) -> None:
    assert Fleet(tmp_path, *digits(), codec, n_hostile=0).began() == []


@pytest.mark.parametrize("codec", ["topk:0.01/sign", "none"])
def test_two_among_them_that_send_ten_times_the_opposite_are_out_within_five_rounds(
    tmp_path: Path, codec: str
) -> None:
    fleet = Fleet(tmp_path, *digits(), codec, n_hostile=2)
    began = fleet.began()
    assert sorted(name for _, name in began) == fleet.hostile
    assert max(round_ for round_, _ in began) <= 5


@pytest.mark.parametrize("codec", ["topk:0.01/sign", "none"])
def test_people_who_move_differently_are_left_alone(tmp_path: Path, codec: str) -> None:
    """The 36 users of WISDM, who have one to six of the six activities each."""
    task = get(str(data_file("wisdm/wisdm.npz")))
    devices = part(task.load(), n_devices=None, alpha=1.0, seed=0).devices
    assert len(devices) == 36
    assert Fleet(tmp_path, task, devices, codec, n_hostile=0).began() == []
