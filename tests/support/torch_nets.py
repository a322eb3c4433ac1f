"""Networks in torch, exported unchanged and trained there. Import it after `need_package`."""

import io
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

from fedge.types import Array

N_TOKENS, LONGEST = 40, 24


class LeNet(nn.Module):  # type: ignore[misc] # torch is not typed here
    """Convolution, pooling, then ReLU, as in torch's own MNIST example; 16 x 16 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.c1, self.c2 = nn.Conv2d(1, 6, 5, padding=2), nn.Conv2d(6, 16, 3)
        self.f1, self.f2 = nn.Linear(144, 32), nn.Linear(32, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(nn.functional.max_pool2d(self.c1(x), 2))
        x = torch.relu(nn.functional.max_pool2d(self.c2(x), 2))
        return self.f2(torch.relu(self.f1(x.flatten(1))))


class Keras(nn.Module):  # type: ignore[misc]
    """Convolution, ReLU, frozen batch normalisation, pool."""

    def __init__(self) -> None:
        super().__init__()
        self.c1, self.n1 = nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.c2, self.n2 = nn.Conv2d(8, 16, 3, padding=1), nn.BatchNorm2d(16)
        self.f = nn.Linear(256, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = nn.functional.max_pool2d(self.n1(torch.relu(self.c1(x))), 2)
        x = nn.functional.max_pool2d(self.n2(torch.relu(self.c2(x))), 2)
        return self.f(x.flatten(1))


class TextCnn(nn.Module):  # type: ignore[misc]
    """Word vectors, windows of three, maximum over time; most tokens are padding."""

    def __init__(self, *, pooled_by_kernel: bool) -> None:
        super().__init__()
        self.pooled_by_kernel = pooled_by_kernel
        self.e, self.c = nn.Embedding(N_TOKENS, 12), nn.Conv1d(12, 24, 3, padding=1)
        self.f = nn.Linear(24, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.c(self.e(x).transpose(1, 2))
        if self.pooled_by_kernel:
            return self.f(torch.relu(nn.functional.max_pool1d(h, LONGEST).squeeze(2)))
        return self.f(torch.relu(h.amax(2)))


class Normalised(nn.Module):  # type: ignore[misc]
    """Two layer normalisations, each followed by a layer."""

    def __init__(self) -> None:
        super().__init__()
        self.n1, self.f1 = nn.LayerNorm(256), nn.Linear(256, 48)
        self.n2, self.f2 = nn.LayerNorm(48), nn.Linear(48, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.f2(self.n2(torch.relu(self.f1(self.n1(x.flatten(1))))))


class UnitRows(nn.Module):  # type: ignore[misc]
    """Features after ReLU scaled to unit length, as for cosine scores; a blank image's are 0."""

    def __init__(self) -> None:
        super().__init__()
        self.f1, self.f2 = nn.Linear(256, 32, bias=False), nn.Linear(32, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = torch.relu(self.f1(x.flatten(1)))
        return self.f2(8 * nn.functional.normalize(h, dim=1))


class MeanOfWords(nn.Module):  # type: ignore[misc]
    """The mean of word vectors and one layer."""

    def __init__(self) -> None:
        super().__init__()
        self.e, self.f = nn.Embedding(N_TOKENS, 16), nn.Linear(16, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.f(self.e(x).mean(1))


def pictures() -> tuple[Array, Array]:
    """The digits at twice the size: zero background, values from 0 to 1; and blank images."""
    digits = load_digits()
    x = (digits.images[:640] / 16).astype(np.float32).repeat(2, 1).repeat(2, 2)
    x[::16] = 0
    return x[:, None], digits.target[:640].astype(np.int64)


def sentences() -> tuple[Array, Array]:
    """Three to nine tokens and padding; the class is most words', a few labels are wrong."""
    rng = np.random.default_rng(0)
    x, y = np.zeros((640, LONGEST), np.int64), rng.integers(0, 4, 640)
    for row, topic in zip(x, y, strict=True):
        n = rng.integers(3, 10)
        row[:n] = np.where(rng.random(n) < 0.6, rng.integers(0, 9, n) * 4 + topic + 1, 1)
    y[::20] = rng.integers(0, 4, len(y[::20]))
    return x, y


@dataclass(frozen=True, slots=True)
class Task:
    make: Callable[[], nn.Module]
    data: Callable[[], tuple[Array, Array]]
    lr: float


TASKS: Mapping[str, Task] = {
    "conv pool relu": Task(LeNet, pictures, 0.1),
    "conv relu norm pool": Task(Keras, pictures, 0.05),
    "text, pool": Task(lambda: TextCnn(pooled_by_kernel=True), sentences, 0.2),
    "text, largest": Task(lambda: TextCnn(pooled_by_kernel=False), sentences, 0.2),
    "two layer norms": Task(Normalised, pictures, 0.05),
    "unit rows": Task(UnitRows, pictures, 0.2),
    "mean of words": Task(MeanOfWords, sentences, 0.5),
}


def make_net(task: Task) -> nn.Module:
    """Always the same weights; batch statistics are frozen, as on devices."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    return task.make().eval()


def export(net: nn.Module, x: Array) -> bytes:
    """Exported by torch without extra packages, with an open batch axis."""
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is deprecated, and says so repeatedly
        torch.onnx.export(
            net,
            (torch.tensor(x[:2]),),
            file,
            dynamo=False,
            do_constant_folding=False,
            training=torch.onnx.TrainingMode.PRESERVE,
            input_names=["x"],
            output_names=["scores"],
            dynamic_axes={"x": {0: "n"}, "scores": {0: "n"}},
        )
    return file.getvalue()


def train(net: nn.Module, data: tuple[Array, Array], batches: list[Array], lr: float) -> float:
    """Plain SGD; returns the loss over all examples afterwards."""
    x, y = map(torch.tensor, data)
    optimizer = torch.optim.SGD(net.parameters(), lr)
    for rows in batches:
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x[rows]), y[rows]).backward()
        optimizer.step()
    with torch.no_grad():
        return float(nn.functional.cross_entropy(net(x), y))
