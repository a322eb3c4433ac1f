"""The networks whose training steps `steps.py` times, in torch, and their export."""

import io
import warnings
from collections.abc import Callable, Mapping

import torch
from torch import nn

BATCH = 32
Shape = tuple[int, ...]


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))


def lenet() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
        *(nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)),
    )


def fedavg_cnn() -> nn.Module:
    """Source: McMahan et al., 2017, arXiv:1602.05629, section 3; 1 663 370 parameters."""
    return nn.Sequential(
        *(nn.Conv2d(1, 32, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 64, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
        *(nn.Linear(3136, 512), nn.ReLU(), nn.Linear(512, 10)),
    )


def har_conv1d() -> nn.Module:
    """128 samples of 9 channels from a wearable sensor."""
    return nn.Sequential(
        *(nn.Conv1d(9, 64, 5, padding=2), nn.ReLU(), nn.MaxPool1d(2)),
        *(nn.Conv1d(64, 64, 5, padding=2), nn.ReLU(), nn.MaxPool1d(2), nn.Flatten()),
        *(nn.Linear(2048, 64), nn.ReLU(), nn.Linear(64, 6)),
    )


def _normalised(conv: nn.Module, *rest: nn.Module) -> nn.Sequential:
    return nn.Sequential(conv, nn.BatchNorm2d(conv.out_channels), *rest)


class _Sum(nn.Module):  # type: ignore[misc] # torch is not typed here
    """The sum of parallel branches."""

    def __init__(self, *ways: nn.Module) -> None:
        super().__init__()
        self.ways = nn.ModuleList(ways)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.ways[0](x) + self.ways[1](x)


def _residual(c: int, m: int, stride: int) -> nn.Module:
    way = nn.Sequential(
        _normalised(nn.Conv2d(c, m, 3, stride, 1, bias=False), nn.ReLU()),
        _normalised(nn.Conv2d(m, m, 3, 1, 1, bias=False)),
    )
    short = nn.Identity() if c == m else _normalised(nn.Conv2d(c, m, 1, stride, bias=False))
    return nn.Sequential(_Sum(way, short), nn.ReLU())


def resnet(n: int) -> nn.Module:
    """6 n + 2 layers. Source: He et al., 2016, arXiv:1512.03385, section 4.2."""
    widths = [(16, 16), (16, 32), (32, 64)]
    blocks = [_residual(c if i == 0 else m, m, 1 + (c != m and i == 0))
              for c, m in widths for i in range(n)]  # fmt: skip
    stem = _normalised(nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.ReLU())
    return nn.Sequential(stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def _inverted(c: int, m: int, stride: int, times: int) -> nn.Module:
    hidden = c * times
    wide = [_normalised(nn.Conv2d(c, hidden, 1, bias=False), nn.ReLU6())] if times > 1 else []
    deep = nn.Conv2d(hidden, hidden, 3, stride, 1, groups=hidden, bias=False)
    way = nn.Sequential(
        *wide, _normalised(deep, nn.ReLU6()), _normalised(nn.Conv2d(hidden, m, 1, bias=False))
    )
    return _Sum(way, nn.Identity()) if c == m and stride == 1 else way


def mobilenet_v2() -> nn.Module:
    """Width 0.35 for 32 x 32 pixels. Source: Sandler et al., 2018, arXiv:1801.04381, table 2."""
    stages = [(1, 8, 1, 1), (6, 8, 2, 1), (6, 16, 3, 2), (6, 24, 4, 2), (6, 32, 3, 1)]
    stages += [(6, 56, 3, 2), (6, 112, 1, 1)]
    layers: list[nn.Module] = [_normalised(nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.ReLU6())]
    c = 16
    for times, m, n, stride in stages:
        for i in range(n):
            layers.append(_inverted(c, m, stride if i == 0 else 1, times))
            c = m
    head = _normalised(nn.Conv2d(c, 1280, 1, bias=False), nn.ReLU6())
    return nn.Sequential(*layers, head, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1280, 10))


NETS: Mapping[str, tuple[Callable[[], nn.Module], Shape]] = {
    "MLP 784-128-10": (mlp, (784,)),
    "LeNet-5": (lenet, (1, 28, 28)),
    "FedAvg CNN": (fedavg_cnn, (1, 28, 28)),
    "HAR conv1d": (har_conv1d, (9, 128)),
    "ResNet-8": (lambda: resnet(1), (3, 32, 32)),
    "ResNet-20": (lambda: resnet(3), (3, 32, 32)),
    "MobileNetV2 0.35": (mobilenet_v2, (3, 32, 32)),
}


def export(net: nn.Module, shape: Shape) -> bytes:
    """Exported by torch, with batch statistics frozen and nothing folded."""
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is deprecated, and says so repeatedly
        torch.onnx.export(
            net.eval(),
            (torch.zeros(BATCH, *shape),),
            file,
            dynamo=False,
            do_constant_folding=False,
            training=torch.onnx.TrainingMode.PRESERVE,
            input_names=["x"],
        )
    return file.getvalue()
