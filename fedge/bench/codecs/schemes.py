"""Ways to send, by name: `UP` or `UP,DOWN`.

UP is a codec's spec or a peer's name. Without DOWN, devices fetch the whole model as float32;
with it, they fetch its difference from the model they have, encoded by that codec.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from fedge import codecs
from fedge.artifact import Slot
from fedge.bench.codecs.peers import PowerSgd, StcGzip
from fedge.types import Vector

FLOAT32 = "none"  # the baseline, and the spec of a whole model
PEERS: dict[str, type[StcGzip] | type[PowerSgd]] = {"stc-gzip": StcGzip, "powersgd": PowerSgd}

DEFAULT = (
    FLOAT32,
    "int8",  # FedPAQ
    "eden:1",
    "stc-gzip",
    "powersgd",
    "topk:0.1/sign",
    "topk:0.01/int8",
    "topk:0.01/int4",
    "topk:0.01/sign",
    "topk:0.001/sign",
    "mask:0.1/eden:1",
    "mask:0.03/eden:1",
    "int8,int8",
    "eden:1,eden:1",
    "stc-gzip,stc-gzip",
    "topk:0.01/sign,topk:0.01/sign",
    "topk:0.01/sign+ctx,topk:0.01/sign+ctx",
    "topk:0.003/sign,topk:0.01/sign",
    "mask:0.1/eden:1,topk:0.01/sign",
    "mask:0.03/eden:1,topk:0.01/sign",
)
QUICK = (FLOAT32, "int8", "stc-gzip", "topk:0.01/sign", "topk:0.01/sign,topk:0.01/sign")

_NO_TENSORS: tuple[Slot, ...] = ()


class Encoder(Protocol):
    """The half of a codec that the benchmark uses; see `fedge.codecs.Codec`."""

    @property
    def uses_residual(self) -> bool: ...

    def encode(
        self,
        delta: Vector,
        residual: Vector | None,
        rng: np.random.Generator,
        *,
        stamp: codecs.Stamp,
    ) -> bytes: ...


class Decoder(Protocol):
    """What a payload adds to a sum."""

    def __call__(self, payload: bytes, weight: float, out: Vector) -> None:
        """out += weight * decoded."""


@dataclass(frozen=True, slots=True)
class Way:
    """One direction."""

    encoder: Encoder
    accumulate: Decoder


@dataclass(frozen=True, slots=True)
class Scheme:
    """Both directions; down is None for whole models."""

    up: Way
    down: Way | None


def get(name: str, slots: tuple[Slot, ...] = _NO_TENSORS) -> Scheme:
    """The scheme, for a model of these trained tensors.

    Raises:
        ConfigError: if there is no such codec or peer.
    """
    up, comma, down = name.partition(",")
    return Scheme(_way(up, slots), _way(down, slots) if comma else None)


def _way(name: str, slots: tuple[Slot, ...]) -> Way:
    if name in PEERS:
        peer = PEERS[name](slots)
        return Way(peer, peer.accumulate)
    return Way(codecs.get(name), codecs.accumulate)
