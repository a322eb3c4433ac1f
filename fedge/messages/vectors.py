"""Vectors of the aggregator that devices need besides the model, such as SCAFFOLD's c."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from fedge import codecs
from fedge.errors import PayloadError
from fedge.messages import wire
from fedge.messages.skim import Kind
from fedge.types import Vector

_MOST = 8  # vectors
_LONGEST_NAME = 64


@dataclass(frozen=True, slots=True)
class ServerVectors:
    """The vectors of an algorithm by name, each as a payload of a codec without error feedback.

    It travels as a blob. CBOR array: version, list of [name, payload] in the order of the names.
    Both ends use what the payloads decode to, so they have the same bits.
    """

    payloads: Mapping[str, bytes]

    def to_bytes(self) -> bytes:
        pairs = [[name, self.payloads[name]] for name in sorted(self.payloads)]
        return wire.encode([wire.VERSION, pairs])

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Raises PayloadError unless it is a list of at most 8 pairs of a name and bytes."""
        (found,) = wire.decode_array(
            data, "server vectors", fields=(Kind.LIST,), max_bytes=len(data)
        )
        pairs = wire.typed(found, list, "server vectors")
        if len(pairs) > _MOST:
            raise PayloadError("server vectors", expected=f"at most {_MOST}", found=len(pairs))
        return cls(dict(map(_pair, pairs)))

    def decode(self, n_params: int) -> dict[str, Vector]:
        """The vectors, float32 (n_params,); PayloadError for another size, NaN or infinity."""
        return {name: _vector(payload, n_params) for name, payload in self.payloads.items()}


def _pair(value: object) -> tuple[str, bytes]:
    pair = wire.typed(value, list, "server vector")
    if len(pair) != 2:
        raise PayloadError("server vector", expected="[name, payload]", found=len(pair))
    name = wire.typed(pair[0], str, "server vector's name")
    if not 1 <= len(name) <= _LONGEST_NAME:
        expected = f"1 to {_LONGEST_NAME} characters"
        raise PayloadError("server vector's name", expected=expected, found=len(name))
    return name, wire.typed(pair[1], bytes, "server vector")


def _vector(payload: bytes, n_params: int) -> Vector:
    if (found := codecs.read_header(payload).n_params) != n_params:
        raise PayloadError("server vector", expected=f"{n_params} parameters", found=found)
    vector = codecs.decode(payload).to_dense()
    if not np.isfinite(vector).all():
        raise PayloadError("server vector", expected="finite numbers", found="NaN or infinity")
    return vector
