"""Which of its own examples a device never trains on, so that it can evaluate models on them."""

from dataclasses import dataclass

import numpy as np

from fedge.training.data import DataSource
from fedge.types import Array

_LEAST = 1e-12  # share; nobody has as many examples as one of them would take


@dataclass(frozen=True, slots=True, eq=False)
class Subset:
    """Some of a source's examples, by index."""

    source: DataSource
    indices: Array

    @property
    def n_examples(self) -> int:
        return len(self.indices)

    def batch(self, indices: Array) -> tuple[dict[str, Array], Array]:
        return self.source.batch(self.indices[indices])


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """A device's examples: those it trains on, and those it only evaluates on."""

    training: DataSource
    validation: DataSource | None = None  # None if there are none


def held_out(n_examples: int, share: float, seed: int) -> Array:
    """The indices of the examples to hold out, ascending: one of every 1 / share, drawn at random.

    The choice depends on the index and the seed alone. So an example stays where it is when more
    are added behind it, and the first is never held out: there is always one to train on. A few
    examples may be too few to hold out any.

    Args:
        n_examples: how many there are.
        share: 0 to below 1.
        seed: of the draw.
    """
    if share < _LEAST or n_examples < 2:
        return np.empty(0, np.int64)
    edges = np.ceil(np.arange(int(n_examples * share) + 2) / share)
    low, high = edges[:-1], edges[1:]
    low[0] = 1
    width = high - low
    drawn = np.random.default_rng(seed).random(len(width))
    places: Array = low + np.minimum(np.floor(drawn * width), width - 1)
    return places[places < n_examples].astype(np.int64)


def split(data: DataSource, share: float, seed: int) -> Split:
    """The examples divided in two; see `held_out`."""
    chosen = held_out(data.n_examples, share, seed)
    if not len(chosen):
        return Split(data)
    rest = np.ones(data.n_examples, np.bool_)
    rest[chosen] = False
    return Split(Subset(data, np.flatnonzero(rest)), Subset(data, chosen))
