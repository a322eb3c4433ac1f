"""What devices are sent of an algorithm's vectors."""

import hashlib
from dataclasses import dataclass, field

import numpy as np

from fedge import codecs
from fedge.aggregator.models.broadcast import WHOLE
from fedge.codecs import Stamp
from fedge.messages import BlobRef, ServerVectors
from fedge.strategies.algorithms import Vectors

_COMPRESSED = "int8"  # where models are sent compressed, too: a quarter of float32


@dataclass(frozen=True, slots=True, eq=False)
class Served:
    """The vectors, as devices get them.

    Attributes:
        data: `ServerVectors` as bytes; None if there are none, or all are zeros.
        vectors: what devices decode, and so what the aggregator reckons with too.
    """

    data: bytes | None = None
    vectors: Vectors = field(default_factory=dict)

    @property
    def ref(self) -> BlobRef | None:
        """What devices request to get them."""
        if self.data is None:
            return None
        return BlobRef(hashlib.sha256(self.data).digest(), len(self.data))


def serve(vectors: Vectors, downlink_codec: str, stamp: Stamp, seed: int) -> Served:
    """Encode vectors for devices; the same arguments give the same bytes on every machine.

    Args:
        vectors: float32 (n_trainable,) each, finite.
        downlink_codec: how models are sent. Vectors are sent whole: as int8, or as float32 where
            models are not compressed either.
        stamp: the schema, and the round that made them.
        seed: of the rounding.
    """
    if not any(vector.any() for vector in vectors.values()):
        return Served()
    codec = codecs.get(WHOLE if downlink_codec == WHOLE else _COMPRESSED)
    rng = np.random.default_rng((seed, stamp.round, len(vectors)))
    payloads = {
        name: codec.encode(vectors[name], None, rng, stamp=stamp) for name in sorted(vectors)
    }
    data = ServerVectors(payloads).to_bytes()
    return read_served(data, next(iter(vectors.values())).size)


def read_served(data: bytes, n_params: int) -> Served:
    """The vectors that were stored as these bytes."""
    return Served(data, ServerVectors.from_bytes(data).decode(n_params))
