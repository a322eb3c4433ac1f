"""An update on its way up: one message, or several chunks."""

import re
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
# The same array as `to_bytes` lays it out, up to the data; each number is in its shortest form.
_NUMBER = rb"([\x00-\x17]|\x18[\x18-\xff]|\x19[^\x00].|\x1a(?!\x00\x00)....)"
_LAYOUT = re.compile(
    rb"\x88\x01\x44(.{4})" + _NUMBER + rb"\x48(.{8})" + _NUMBER + _NUMBER + rb"\x50(.{16})"
    rb"([\x40-\x57]|\x58[\x18-\xff]|\x59[^\x00].)",
    re.DOTALL,
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
        """Raises PayloadError unless every field is of its type and in its range.

        What is laid out as `to_bytes` does it is read at once; whatever else goes to the strict
        reader of all messages, which takes the same bytes and says what is wrong with others.
        """
        return cls._read(payload) or cls._read_strictly(payload)

    @classmethod
    def _read(cls, payload: bytes) -> Self | None:
        found = _LAYOUT.match(payload)
        if found is None or len(payload) > CHUNK_BYTES + _OVERHEAD:
            return None
        run, round_, nonce, index, total, digest, size = found.groups()
        number, place, n_all = _number(round_), _number(index), _number(total)
        start = found.end()
        is_whole = len(payload) - start == _number(size)
        if not (is_whole and place < n_all <= MAX_CHUNKS and number <= MAX_ROUND):
            return None
        return cls(
            run=run,
            round=RoundId(number),
            nonce=nonce,
            index=place,
            total=n_all,
            digest=digest,
            data=payload[start:],
        )

    @classmethod
    def _read_strictly(cls, payload: bytes) -> Self:
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


def _number(head: bytes) -> int:
    """The number or length in the head of a CBOR value, which is in its shortest form."""
    return int.from_bytes(head[1:]) if len(head) > 1 else head[0] & 31
