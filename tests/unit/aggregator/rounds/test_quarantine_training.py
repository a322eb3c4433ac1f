"""Devices that really train, each on classes of its own: nobody honest is ever put aside."""

from pathlib import Path

import numpy as np
import pytest

from fedge import codecs
from fedge.aggregator import open_registry
from fedge.aggregator.state.records import ModelRecord
from fedge.artifact import Artifact
from fedge.bench.codecs.tasks import Task, get
from fedge.codecs import Stamp
from fedge.messages.update import Facts
from fedge.simulation.data import Parts, part
from fedge.training import ArrayData, Trainer
from fedge.training.plan import Plan
from tests.support.aggregator_by_hand import Bench
from tests.support.sent_values import events
from tests.support.tools import data_file

ROUNDS = 8


class Fleet:
    """Devices of a task, of which some send ten times the opposite, on ten million examples."""

    def __init__(self, folder: Path, task: Task, parts: Parts, codec: str, n_hostile: int) -> None:
        data = task.load()
        artifact = task.build(data, seed=0)
        self.trainer, self.codec = Trainer(artifact), codecs.get(codec)
        devices, self.test = parts.devices, ArrayData.of(parts.test)
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
        n_examples = 10_000_000 if name in self.hostile else update.n_examples
        stamp = Stamp(schema=artifact.schema[:4], round=round_, n_examples=n_examples)
        residual = self.residuals[name] if self.codec.uses_residual else None
        rng = np.random.default_rng((round_, len(name)))
        return self.codec.encode(delta, residual, rng, stamp=stamp)

    def accuracy(self, model: ModelRecord) -> float:
        parameters = open_registry(self.bench.folder / "state").parameters(model)
        return self.trainer.evaluate(parameters, self.test).accuracy or 0.0

    def began(self) -> list[tuple[int, str]]:
        """Who was put aside, and after which round."""
        found = events(self.bench)
        assert len(found) == ROUNDS
        return [
            (event["round"], one["device"]) for event in found for one in event["quarantine_began"]
        ]


def digits() -> tuple[Task, Parts]:
    """Twelve devices, most of which have two to seven of the ten classes: 12 to 409 examples."""
    task = get("digits")
    return task, part(task.load(), n_devices=12, alpha=0.1, seed=4)


@pytest.mark.parametrize("codec", ["topk:0.01/sign", "none"])
def test_honest_devices_with_classes_of_their_own_are_left_alone(
    tmp_path: Path, codec: str
) -> None:
    assert Fleet(tmp_path, *digits(), codec, n_hostile=0).began() == []


@pytest.mark.parametrize("codec", ["topk:0.01/sign", "none"])
def test_two_among_them_that_wreck_the_model_are_out_within_five_rounds_and_it_learns(
    tmp_path: Path, codec: str
) -> None:
    fleet = Fleet(tmp_path, *digits(), codec, n_hostile=2)
    began = fleet.began()
    assert sorted(name for _, name in began) == fleet.hostile
    assert max(round_ for round_, _ in began) <= 5
    fleet.bench.aggregator.close()
    registry = open_registry(tmp_path / "state")
    wrecked, recovered = (fleet.accuracy(registry.model(round_)) for round_ in (3, ROUNDS))
    assert wrecked < 0.3
    assert recovered > 0.6


@pytest.mark.parametrize("codec", ["topk:0.01/sign", "none"])
def test_people_who_move_differently_are_left_alone(tmp_path: Path, codec: str) -> None:
    """The 36 users of WISDM, who have one to six of the six activities each."""
    task = get(str(data_file("wisdm/wisdm.npz")))
    parts = part(task.load(), n_devices=None, alpha=1.0, seed=0)
    assert len(parts.devices) == 36
    assert Fleet(tmp_path, task, parts, codec, n_hostile=0).began() == []
