"""An update on its way up: one message, or several chunks."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from fedge.messages import wire
from fedge.messages.chunks import CHUNK_BYTES, MAX_CHUNKS, digest16, n_chunks, slice_chunk
from fedge.messages.skim import Kind
from fedge.types import RoundId

RUN_BYTES = 4
NONCE_BYTES = 8
MAX_ROUND = 2**31 - 1
_OVERHEAD = 128
_CHUNK = (
    *(Kind.OCTETS, Kind.INTEGER, Kind.OCTETS, Kind.INTEGER, Kind.INTEGER),
    *(Kind.OCTETS, Kind.OCTETS),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateChunk:
    """One chunk of an encoded update.

    CBOR array: version, run (4 bytes), round, nonce (8 bytes), chunk index, number
    of chunks, first 16 bytes of the SHA-256 of the whole, data. Together with
    the device and the job in the topic, run, round and nonce identify the update, which
    the aggregator counts once.
    """

    run: bytes  # of the manifest that asked for it
    round: RoundId
    nonce: bytes  # drawn once for each update, and the same whenever that is sent again
    index: int
    total: int
    digest: bytes
    data: bytes

    def to_bytes(self) -> bytes:
        return wire.encode(
            [
                wire.VERSION,
                self.run,
                self.round,
                self.nonce,
                self.index,
                self.total,
                self.digest,
                self.data,
            ]
        )

    @classmethod
    def from_bytes(cls, payload: bytes) -> Self:
        """Raises PayloadError unless every field is of its type and in its range."""
        fields = wire.decode_array(
            payload, "update chunk", fields=_CHUNK, max_bytes=CHUNK_BYTES + _OVERHEAD
        )
        run, round_, nonce, index, total, digest, data = fields
        total = wire.bounded(total, 1, MAX_CHUNKS, "update chunks")
        return cls(
            run=wire.octets(run, RUN_BYTES, "update run"),
            round=RoundId(wire.bounded(round_, 0, MAX_ROUND, "update round")),
            nonce=wire.octets(nonce, NONCE_BYTES, "update nonce"),
            index=wire.bounded(index, 0, total - 1, "update chunk index"),
            total=total,
            digest=wire.octets(digest, 16, "update digest"),
            data=wire.typed(data, bytes, "update chunk data"),
        )


def split_update(
    payload: bytes, run: bytes, round_: RoundId, nonce: bytes, *, chunk_bytes: int = CHUNK_BYTES
) -> Iterator[UpdateChunk]:
    """The chunks that carry this payload, first to last."""
    digest = digest16(payload)
    total = n_chunks(len(payload), chunk_bytes)
    for index in range(total):
        data = slice_chunk(payload, index, chunk_bytes)
        yield UpdateChunk(
            run=run,
            round=round_,
            nonce=nonce,
            index=index,
            total=total,
            digest=digest,
            data=data,
        )
