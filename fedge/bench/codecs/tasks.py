"""What the codecs are tried on: data, network, learning rate, and the target accuracy."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from onnx import ModelProto

from fedge.artifact import Artifact
from fedge.bench.codecs import generated
from fedge.bench.codecs.models import perceptron, wave_net, word_net
from fedge.builder import build_artifact
from fedge.data import Dataset, read_npz
from fedge.errors import ConfigError, DataError, MissingDependencyError
from fedge.simulation.data import digits


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One learning task.

    Attributes:
        about: a one-line description.
        target: test accuracy to reach.
        lr: the devices' learning rate, tuned for float32.
        load: gives the data; may need a package.
        model: gives the network for the data, with weights from a seed.
    """

    about: str
    target: float
    lr: float
    load: Callable[[], Dataset]
    model: Callable[[Dataset, int], ModelProto]

    def build(self, data: Dataset, seed: int) -> Artifact:
        return build_artifact(self.model(data, seed), loss="cross_entropy")


def get(name: str) -> Task:
    """A task by its name, or a data file by its path.

    Raises:
        ConfigError: if there is no such task.
        DataError: if the file is not a classification task on numbers called x.
        MissingDependencyError: if the task's data come with a package that is not installed.
    """
    if name.endswith(".npz"):
        return _of_file(Path(name))
    if name not in TASKS:
        known = ", ".join(TASKS)
        raise ConfigError(f"unknown task {name!r}: use {known}, or --data FILE.npz")
    if name in _NEEDS_SKLEARN and find_spec("sklearn") is None:
        raise MissingDependencyError(
            f"the data of task {name} come with scikit-learn: pip install 'fedge[bench]'"
        )
    return TASKS[name]


def _digits() -> Dataset:
    found = digits()
    return Dataset(found.inputs, found.targets)


def _standard(features: np.ndarray) -> np.ndarray:
    """Mean 0 and deviation 1 for each column; missing values become the mean, constants 0."""
    mean, deviation = np.nanmean(features, axis=0), np.nanstd(features, axis=0)
    scaled = (features - mean) / np.where(deviation > 0, deviation, np.inf)
    filled: np.ndarray = np.nan_to_num(scaled).astype(np.float32)
    return filled


def _of_file(path: Path) -> Task:
    """Classes from numbers, by a perceptron with two hidden layers of 64."""

    def load() -> Dataset:
        data = read_npz(path)
        if set(data.inputs) != {"x"} or data.targets.dtype.kind not in "iu":
            found = f"{', '.join(sorted(data.inputs))}; y of {data.targets.dtype}"
            raise DataError(str(path), expected="one array x, and y of integers", found=found)
        x = data.inputs["x"].reshape(data.n_examples, -1).astype(np.float64)
        return Dataset({"x": _standard(x)}, data.targets, data.client, data.is_test)

    return Task(
        about=f"{path.name}: features at mean 0 and deviation 1, perceptron, hidden 64 and 64",
        target=math.nan,
        lr=0.1,
        load=load,
        model=lambda data, seed: _perceptron(data, (64, 64), seed),
    )


def _perceptron(data: Dataset, hidden: tuple[int, ...], seed: int) -> ModelProto:
    n_classes = int(data.targets.max()) + 1
    return perceptron(data.inputs["x"].shape[1], hidden, n_classes, seed=seed)


def _wave_net(_: Dataset, seed: int) -> ModelProto:
    return wave_net(generated.N_SAMPLES, generated.N_WAVES, seed=seed)


def _word_net(_: Dataset, seed: int) -> ModelProto:
    return word_net(generated.N_WORDS, generated.N_TOKENS, generated.N_TOPICS, seed=seed)


TASKS = {
    "digits": Task(
        about="1 797 handwritten digits of 8 x 8 pixels, perceptron 64-200-200-10",
        target=0.95,
        lr=0.1,
        load=_digits,
        model=lambda data, seed: _perceptron(data, (200, 200), seed),
    ),
    "waves": Task(
        about="3 600 generated windows of a sensor, six shapes, two convolutions and two layers",
        target=0.92,
        lr=0.2,
        load=generated.waves,
        model=_wave_net,
    ),
    "words": Task(
        about="4 000 generated texts of 24 words, eight topics, a table of word vectors",
        target=0.94,
        lr=0.4,
        load=generated.words,
        model=_word_net,
    ),
}
_NEEDS_SKLEARN = {"digits"}
