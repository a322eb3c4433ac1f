"""What hostile devices may see and do in a federation."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from fedge.codecs import Stamp
from fedge.training import ArrayData
from fedge.types import Vector


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class View:
    """A round as an adversary who knows everything sees it, before anything is sent.

    Devices have numbers. A device whose training diverged has no delta.

    Attributes:
        round: its number, from 1.
        parameters: that devices trained from, float32 (n_trainable,).
        before: that devices had in the round before; in round 1 the same.
        honest: deltas of the honest devices of this round.
        own: deltas that the hostile devices of this round would send if they were honest.
        n_examples: of all devices of this round.
        stamp: what payloads of this round must say; `n_examples` is missing.
        rng: for whatever the adversary draws.
    """

    round: int
    parameters: Vector
    before: Vector
    honest: Mapping[int, Vector]
    own: Mapping[int, Vector]
    n_examples: Mapping[int, int]
    stamp: Stamp
    rng: np.random.Generator


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Forged:
    """What a hostile device sends in place of its own update.

    Attributes:
        delta: encoded as an honest device would, with its residual; or
        payload: the bytes themselves; one of the two.
        n_examples: claimed with a delta; None: the true number.
    """

    delta: Vector | None = None
    payload: bytes | None = None
    n_examples: int | None = None

    def __post_init__(self) -> None:
        if (self.delta is None) == (self.payload is None):
            raise ValueError("give a delta or a payload, not both and not neither")


class Adversary(Protocol):
    """Whoever controls the hostile devices.

    Laws: what it does depends on its arguments only; it writes to none of them.
    """

    @property
    def hostile(self) -> frozenset[int]:
        """The numbers of the devices it controls."""
        ...

    def poison(self, device: int, data: ArrayData) -> ArrayData:
        """What a hostile device trains on instead of its data; asked once, before round 1."""
        ...

    def forge(self, view: View) -> Mapping[int, Forged]:
        """What hostile devices of the round send; one that is left out sends its own delta."""
        ...
