"""Dropout's factors: drawn outside the graph, which multiplies by them."""

from collections.abc import Sequence

import numpy as np

from fedge.artifact import DropoutSpec
from fedge.types import Vector


def generator(seed: int) -> np.random.Generator:
    """A round's rng; a separate stream, so that dropout does not affect the order of examples."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1,)))


def draw(specs: Sequence[DropoutSpec], rng: np.random.Generator, out: Vector) -> None:
    """Fills `out`, float32 (n,), with each spec's factors in turn.

    A factor is 0 with the spec's probability, else 1 / (1 - ratio), so that its mean is 1
    (Srivastava et al., 2014, JMLR 15:1929, section 10, scaled in training instead of after it).
    """
    rng.random(dtype=np.float32, out=out)
    start = 0
    for spec in specs:
        part = out[start : start + spec.size]
        np.greater_equal(part, spec.ratio, out=part)
        part *= np.float32(1 / (1 - spec.ratio))
        start += spec.size
