"""What the methods are tried on: data, how they are divided, network, and the devices' plan."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from fedge.artifact import Artifact
from fedge.bench.codecs.models import perceptron
from fedge.bench.federation import split
from fedge.bench.federation.idx import read_idx
from fedge.builder import build_artifact
from fedge.data import Dataset, read_npz
from fedge.errors import ConfigError, DataError
from fedge.simulation.data import TEST_SHARE, digits
from fedge.training import ArrayData, Plan
from fedge.types import Array


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One learning task, and the federation that learns it.

    Attributes:
        about: a one-line description.
        splits: how examples are divided, the ones that are played unless told.
        hidden: sizes of the perceptron's hidden layers.
        target: test accuracy, to which rounds are counted.
        load: reads and checks the file or folder; nothing for data that come with a package.
    """

    about: str
    splits: tuple[str, ...]
    hidden: tuple[int, ...]
    n_devices: int
    n_sampled: int
    rounds: int
    plan: Plan
    target: float
    load: Callable[[Path | None], Dataset]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Parts:
    """The data of one run.

    Attributes:
        devices: what each has to train on.
        test: what models are tested on.
        own_tests: each device's share of it, where the data have natural clients.
    """

    artifact: Artifact
    devices: list[ArrayData]
    test: ArrayData
    own_tests: list[ArrayData] = field(default_factory=list)


def prepare(task: Task, data: Dataset, how: str, seed: int) -> Parts:
    """Hold out the test examples, deal out the others, and build the model.

    Raises:
        ConfigError: if the data cannot be divided like this.
    """
    data = _with_test(data, seed)
    train, test = data.train(), data.test()
    n_classes = int(data.targets.max()) + 1
    network = perceptron(train.inputs["x"].shape[1], task.hidden, n_classes, seed=seed)
    devices = [train.select(part) for part in _divide(train, task, how, seed)]
    parts = Parts(
        artifact=build_artifact(network, loss="cross_entropy", batch_size=task.plan.batch_size),
        devices=[ArrayData.of(device) for device in devices],
        test=ArrayData.of(test),
    )
    if how == "user":
        own = [test.of_client(device.client[0]) for device in devices if device.client is not None]
        parts = replace(parts, own_tests=[ArrayData.of(one) for one in own])
    return parts


def _divide(train: Dataset, task: Task, how: str, seed: int) -> list[Array]:
    if how == "user":
        if train.client is None:
            raise ConfigError("split user: the data do not say who owns which example")
        return split.by_owner(train.client)
    if how == "shards":
        return split.by_shards(train.targets, task.n_devices, seed)
    return split.by_dirichlet(train.targets, task.n_devices, concentration(how), seed)


def concentration(how: str) -> float:
    """The alpha of a Dirichlet split.

    Raises:
        ConfigError: if it is not a split at all.
    """
    try:
        alpha = float(how)
    except ValueError:
        alpha = np.nan
    if not 1e-3 <= alpha <= 1e6:
        expected = "user, shards, or the alpha of a Dirichlet draw from 0.001 to 1e6"
        raise ConfigError(f"unknown split {how!r}: use {expected}")
    return alpha


def _with_test(data: Dataset, seed: int) -> Dataset:
    """A fifth of the examples, drawn evenly, unless the data say which ones."""
    if data.is_test is not None:
        return data
    is_test = np.zeros(data.n_examples, np.bool_)
    chosen = np.random.default_rng([seed, 1]).permutation(data.n_examples)
    is_test[chosen[: int(TEST_SHARE * data.n_examples)]] = True
    return replace(data, is_test=is_test)


def _digits(path: Path | None) -> Dataset:
    del path
    return digits()


def _mnist(path: Path | None) -> Dataset:
    """The four files of the database, in one folder, under their usual names."""
    if path is None:
        raise ConfigError("task mnist: say with --mnist which folder has the four idx .gz files")
    images, labels, counts = [], [], []
    for name in ("train", "t10k"):
        x = read_idx(path / f"{name}-images-idx3-ubyte.gz", n_axes=3)
        y = read_idx(path / f"{name}-labels-idx1-ubyte.gz", n_axes=1)
        if len(x) != len(y):
            raise DataError(f"{path}: {name} labels", expected=len(x), found=len(y))
        images.append(x.reshape(len(x), -1))
        labels.append(y.astype(np.int64))
        counts.append(len(y))
    if images[0].shape[1] != images[1].shape[1]:
        sizes = [each.shape[1] for each in images]
        raise DataError(f"{path}: pixels of test images", expected=sizes[0], found=sizes[1])
    return Dataset(
        {"x": np.concatenate(images).astype(np.float32) / np.float32(255)},
        np.concatenate(labels),
        is_test=np.arange(sum(counts)) >= counts[0],
    )


def _wisdm(path: Path | None) -> Dataset:
    """Features at mean 0 and deviation 1 of the training examples; missing ones are the mean."""
    if path is None:
        raise ConfigError("task wisdm: say with --wisdm which .npz file has its examples")
    data = read_npz(path)
    if set(data.inputs) != {"x"} or data.inputs["x"].ndim != 2 or data.targets.dtype.kind != "i":
        expected = "one array x of rows, and y of integers"
        raise DataError(str(path), expected=expected, found=", ".join(sorted(data.inputs)))
    if data.client is None or data.is_test is None:
        raise DataError(str(path), expected="arrays client and is_test", found="not both")
    x = data.inputs["x"].astype(np.float64)
    train = x[~data.is_test]
    mean, deviation = np.nanmean(train, axis=0), np.nanstd(train, axis=0)
    scaled = (x - mean) / np.where(deviation > 0, deviation, np.inf)
    return replace(data, inputs={"x": np.nan_to_num(scaled).astype(np.float32)})


TASKS = {
    "digits": Task(
        about="1 797 handwritten digits of 8 x 8 pixels, perceptron 64-32-10",
        splits=("100", "0.5", "0.1", "0.03"),
        hidden=(32,),
        n_devices=50,
        n_sampled=10,
        rounds=100,
        plan=Plan(epochs=5, batch_size=16, lr=0.1),
        target=0.9,
        load=_digits,
    ),
    "mnist": Task(
        about="70 000 handwritten digits of 28 x 28 pixels, perceptron 784-200-200-10",
        splits=("shards",),
        hidden=(200, 200),
        n_devices=100,
        n_sampled=10,
        rounds=100,
        plan=Plan(epochs=1, batch_size=20, lr=0.1),
        target=0.9,
        load=_mnist,
    ),
    "wisdm": Task(
        about="5 418 windows of a phone's accelerometer, six activities, perceptron 43-64-32-6",
        splits=("user",),
        hidden=(64, 32),
        n_devices=36,
        n_sampled=36,
        rounds=100,
        plan=Plan(epochs=1, batch_size=16, lr=0.05),
        target=0.75,
        load=_wisdm,
    ),
}
