"""A network trained here ends where torch's training ends: same weights, rate and batches."""

import importlib
from typing import Any

import numpy as np
import pytest

from fedge import Trainer, build_artifact
from fedge.training import ArrayData
from tests.support.tools import need_package

N_STEPS, BATCH = 200, 32
NAMES = [
    "conv pool relu",
    "conv relu norm pool",
    "text, pool",
    "text, largest",
    "two layer norms",
    "unit rows",
    "mean of words",
]


@pytest.fixture(scope="module")
def nets() -> Any:
    need_package("torch")
    return importlib.import_module("tests.support.torch_nets")


def test_every_task_is_tried(nets: Any) -> None:
    assert list(nets.TASKS) == NAMES


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_after_200_steps_the_loss_is_within_2_percent_of_torchs(name: str, nets: Any) -> None:
    task = nets.TASKS[name]
    x, y = task.data()
    rng = np.random.default_rng(0)
    batches = [rng.permutation(len(x))[:BATCH] for _ in range(N_STEPS)]
    net = nets.make_net(task)
    model = nets.export(net, x)
    before = nets.train(net, (x, y), [], task.lr)
    want = nets.train(net, (x, y), batches, task.lr)
    assert want < 0.7 * before  # it does learn

    trainer = Trainer(build_artifact(model, loss="cross_entropy", batch_size=BATCH))
    params = trainer.artifact.parameters.copy()
    for rows in batches:
        _, gradient = trainer.loss_and_gradient(params, {"x": x[rows]}, y[rows])
        params[: gradient.size] -= np.float32(task.lr) * gradient  # trainable parameters come first
    found = trainer.evaluate(params, ArrayData({"x": x}, y)).loss
    assert found == pytest.approx(want, rel=0.02)
