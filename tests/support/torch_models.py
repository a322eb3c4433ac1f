"""Small models whose gradients are hard to judge, through torch's exporter."""

import io
import warnings
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

N_WORDS, N_STEPS, WIDTH, N_HEADS = 60, 8, 16, 2


class Attention(nn.Module):
    """Heads of queries, keys and values; the keys' bias has no gradient, as softmax ignores it."""

    def __init__(self, width: int = WIDTH, n_in: int | None = None) -> None:
        super().__init__()
        self.query = nn.Linear(n_in or width, width)
        self.key = nn.Linear(n_in or width, width)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def split(self, x: Tensor) -> Tensor:
        n, steps, width = x.shape
        return x.reshape(n, steps, N_HEADS, width // N_HEADS).transpose(1, 2)

    def scores(self, x: Tensor, keys: Tensor) -> Tensor:
        q, k = self.split(self.query(x)), self.split(self.key(keys))
        return q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5

    def mix(self, scores: Tensor, values: Tensor, mask: Tensor) -> Tensor:
        kept = scores + (1 - mask.to(values.dtype))[:, None, None, :] * -1e4
        mixed = kept.softmax(-1) @ self.split(self.value(values))
        return self.out(mixed.transpose(1, 2).flatten(2))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return self.mix(self.scores(x, x), x, mask)


class Embedded(nn.Module):
    """Words and positions, some layers, scores of the first step."""

    def __init__(self, layers: list[nn.Module], *, std: float = 0.02) -> None:
        super().__init__()
        self.words = nn.Embedding(N_WORDS, WIDTH)
        self.places = nn.Embedding(N_STEPS, WIDTH)
        self.norm = nn.LayerNorm(WIDTH, eps=1e-12)
        self.layers = nn.ModuleList(layers)
        self.head = nn.Linear(WIDTH, 3)
        for each in self.parameters():
            if each.ndim > 1:
                nn.init.normal_(each, std=std)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        x = self.norm(self.words(ids) + self.places.weight)
        for layer in self.layers:
            x = layer(x, mask)
        return self.head(x[:, 0])


class Encoder(nn.Module):
    """A layer of BERT: attention, two linear layers with GELU, two normalisations."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = Attention()
        self.first, self.second = nn.Linear(WIDTH, 32), nn.Linear(32, WIDTH)
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH, eps=1e-12), nn.LayerNorm(WIDTH, eps=1e-12)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = self.norm1(x + self.attention(x, mask))
        return self.norm2(x + self.second(functional.gelu(self.first(x))))


class NoNorm(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight + self.bias


class Bottleneck(nn.Module):
    """A layer of MobileBERT: attention at half the width, several small feed-forward layers."""

    def __init__(self) -> None:
        super().__init__()
        half = WIDTH // 2
        self.down, self.up = nn.Linear(WIDTH, half), nn.Linear(half, WIDTH)
        self.attention = Attention(half)
        self.feeds = nn.ModuleList(
            nn.Sequential(nn.Linear(half, WIDTH), nn.ReLU(), nn.Linear(WIDTH, half))
            for _ in range(2)
        )
        self.norms = nn.ModuleList(NoNorm(half) for _ in range(4))
        self.last = NoNorm(WIDTH)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        small = self.norms[0](self.down(x))
        small = self.norms[1](small + self.attention(small, mask))
        for feed, norm in zip(self.feeds, self.norms[2:], strict=True):
            small = norm(small + feed(small))
        return self.last(x + self.up(small))


class Disentangled(nn.Module):
    """A layer of DeBERTa: content attends to content and position, and position to content."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = Attention()
        self.distances = nn.Embedding(2 * N_STEPS, WIDTH)
        self.norm = nn.LayerNorm(WIDTH, eps=1e-7)
        steps = torch.arange(N_STEPS)
        self.register_buffer("distance", steps[:, None] - steps[None, :] + N_STEPS)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        a, where = self.attention, self.distances.weight[None]
        index = self.distance.expand(x.shape[0], N_HEADS, N_STEPS, N_STEPS)
        to_place = a.scores(x, where).gather(-1, index)
        to_word = a.scores(where, x).transpose(-1, -2).gather(-1, index).transpose(-1, -2)
        return self.norm(x + a.mix(a.scores(x, x) + to_place + to_word, x, mask))


class Causal(nn.Module):
    """Predicts a sequence's next word: pre-normalised layers, each step sees earlier ones."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(N_WORDS, WIDTH), nn.Embedding(N_STEPS, WIDTH)
        self.attention = nn.ModuleList(Attention() for _ in range(2))
        self.first = nn.ModuleList(nn.Linear(WIDTH, 64) for _ in range(2))
        self.second = nn.ModuleList(nn.Linear(64, WIDTH) for _ in range(2))
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(5))
        self.head = nn.Linear(WIDTH, N_WORDS)
        self.register_buffer("later", torch.ones(N_STEPS, N_STEPS).triu(1).bool())

    def forward(self, ids: Tensor) -> Tensor:
        x = self.words(ids) + self.places.weight
        for i, attention in enumerate(self.attention):
            y = self.norms[2 * i](x)
            scores = attention.scores(y, y).masked_fill(self.later, -1e9)
            x = x + attention.mix(scores, y, torch.ones_like(ids))
            x = x + self.second[i](functional.gelu(self.first[i](self.norms[2 * i + 1](x))))
        return self.head(self.norms[4](x)).transpose(1, 2)


class ConvNeXt(nn.Module):
    """A block whose branch starts with a scale of a millionth."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 4, stride=4)
        self.depthwise = nn.Conv2d(8, 8, 7, padding=3, groups=8)
        self.norm, self.last = nn.LayerNorm(8, eps=1e-6), nn.LayerNorm(8, eps=1e-6)
        self.wide, self.narrow = nn.Linear(8, 32), nn.Linear(32, 8)
        self.gamma = nn.Parameter(1e-6 * torch.ones(8))
        self.head = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        y = self.gamma * self.narrow(functional.gelu(self.wide(y)))
        return self.head(self.last((x + y.permute(0, 3, 1, 2)).mean((2, 3))))


class Fire(nn.Module):
    def __init__(self, n_in: int, squeezed: int, n_out: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(n_in, squeezed, 1)
        self.one = nn.Conv2d(squeezed, n_out // 2, 1)
        self.three = nn.Conv2d(squeezed, n_out // 2, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.squeeze(x))
        return torch.cat([functional.relu(self.one(x)), functional.relu(self.three(x))], 1)


def squeeze_net() -> nn.Module:
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=True),
        Fire(8, 4, 8), Fire(8, 4, 16), nn.MaxPool2d(3, 2, ceil_mode=True), Fire(16, 4, 16),
        nn.Conv2d(16, 5, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
    )  # fmt: skip
    for each in net.modules():
        if isinstance(each, nn.Conv2d):
            nn.init.zeros_(each.bias)  # as torchvision does
    return net


IDS = torch.zeros(2, N_STEPS, dtype=torch.int64)
TEXT = {"ids": IDS, "mask": torch.ones_like(IDS)}
IMAGE = {"x": torch.zeros(2, 3, 32, 32)}

MODELS: Mapping[str, tuple[Callable[[], nn.Module], Mapping[str, Tensor]]] = {
    "bert": (lambda: Embedded([Encoder(), Encoder()]), TEXT),
    "mobilebert": (lambda: Embedded([Bottleneck(), Bottleneck()]), TEXT),
    "deberta": (lambda: Embedded([Disentangled(), Disentangled()]), TEXT),
    "causal": (Causal, {"ids": IDS}),
    "convnext": (ConvNeXt, IMAGE),
    "squeezenet": (squeeze_net, IMAGE),
}


def exported(name: str) -> bytes:
    """The model as ONNX, with weights from a fixed seed."""
    make, inputs = MODELS[name]
    torch.manual_seed(0)
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            make().eval(),
            tuple(inputs.values()),
            file,
            input_names=list(inputs),
            dynamic_axes={each: {0: "n"} for each in inputs},
            opset_version=17,
            dynamo=False,
        )
    return file.getvalue()
