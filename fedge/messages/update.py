"""An update on its way up: one message, or several chunks."""

import math
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from fedge.errors import PayloadError
from fedge.messages import wire
from fedge.messages.chunks import CHUNK_BYTES, MAX_CHUNKS, digest16, n_chunks, slice_chunk
from fedge.messages.skim import Kind
from fedge.types import RoundId, Update

RUN_BYTES = 4
NONCE_BYTES = 8
MAX_ROUND = 2**31 - 1
MAX_STEPS = 2**40
_LARGEST = (2 - 2**-23) * 2.0**127  # of float32
_OVERHEAD = 128
_START = (
    *(Kind.OCTETS, Kind.INTEGER, Kind.OCTETS, Kind.INTEGER, Kind.INTEGER),
    Kind.OCTETS,
)
_CHUNK = (*_START, Kind.OCTETS)
_CHUNK_WITH_FACTS = (*_START, Kind.LIST, Kind.OCTETS)
_HEAD_WITH_FACTS = b"\x89"  # an array of nine
# The same array as `to_bytes` lays it out, up to the data; each number is in its shortest form.
_NUMBER = rb"([\x00-\x17]|\x18[\x18-\xff]|\x19[^\x00].|\x1a(?!\x00\x00)....)"
_LAYOUT = re.compile(
    rb"([\x88\x89])\x01\x44(.{4})" + _NUMBER + rb"\x48(.{8})" + _NUMBER + _NUMBER + rb"\x50(.{16})"
    rb"(?:\x82" + _NUMBER + rb"\xfa(.{4}))?"
    rb"([\x40-\x57]|\x58[\x18-\xff]|\x59[^\x00].)",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a device says of the training behind an update; nobody can check it.

    Attributes:
        n_steps: optimizer steps, 1 to `MAX_STEPS`.
        loss: mean training loss over these steps, finite; float32 on the wire.
    """

    n_steps: int
    loss: float

    @classmethod
    def of(cls, update: Update) -> Self:
        """Those of an update; a loss beyond float32 becomes the largest one."""
        loss = max(-_LARGEST, min(update.loss, _LARGEST))
        return cls(n_steps=update.n_steps, loss=_float32(loss))

    def to_wire(self) -> list[object]:
        return [self.n_steps, _float32(self.loss)]

    @classmethod
    def from_wire(cls, value: object) -> Self:
        """Raises PayloadError unless it is [n_steps, loss] with both in their ranges."""
        pair = wire.typed(value, list, "update facts")
        if len(pair) != 2:
            raise PayloadError("update facts", expected="[n_steps, loss]", found=len(pair))
        n_steps = wire.bounded(pair[0], 1, MAX_STEPS, "update steps")
        loss = wire.typed(pair[1], float, "update loss")
        if not math.isfinite(loss) or loss != _float32(loss):
            raise PayloadError("update loss", expected="a finite float32", found=loss)
        return cls(n_steps=n_steps, loss=loss)


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateChunk:
    """One chunk of an encoded update.

    CBOR array: version, run (4 bytes), round, nonce (8 bytes), chunk index, number
    of chunks, first 16 bytes of the SHA-256 of the whole, facts if there are any, data.
    Together with the device and the job in the topic, run, round and nonce identify the
    update, which the aggregator counts once.
    """

    run: bytes  # of the manifest that asked for it
    round: RoundId
    nonce: bytes  # drawn once for each update, and the same whenever that is sent again
    index: int
    total: int
    digest: bytes
    facts: Facts | None = None  # only if the manifest wants them, and the same in every chunk
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
                *([] if self.facts is None else [self.facts.to_wire()]),
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
        head, run, round_, nonce, index, total, digest, n_steps, loss, size = found.groups()
        number, place, n_all = _number(round_), _number(index), _number(total)
        start = found.end()
        is_whole = len(payload) - start == _number(size)
        if not (is_whole and place < n_all <= MAX_CHUNKS and number <= MAX_ROUND):
            return None
        facts = None if loss is None else _facts(n_steps, loss)
        if (facts is None) is (head == _HEAD_WITH_FACTS):
            return None
        return cls(
            run=run,
            round=RoundId(number),
            nonce=nonce,
            index=place,
            total=n_all,
            digest=digest,
            facts=facts,
            data=payload[start:],
        )

    @classmethod
    def _read_strictly(cls, payload: bytes) -> Self:
        has_facts = payload[:1] == _HEAD_WITH_FACTS
        fields = wire.decode_array(
            payload,
            "update chunk",
            fields=_CHUNK_WITH_FACTS if has_facts else _CHUNK,
            max_bytes=CHUNK_BYTES + _OVERHEAD,
        )
        run, round_, nonce, index, total, digest, *facts, data = fields
        total = wire.bounded(total, 1, MAX_CHUNKS, "update chunks")
        return cls(
            run=wire.octets(run, RUN_BYTES, "update run"),
            round=RoundId(wire.bounded(round_, 0, MAX_ROUND, "update round")),
            nonce=wire.octets(nonce, NONCE_BYTES, "update nonce"),
            index=wire.bounded(index, 0, total - 1, "update chunk index"),
            total=total,
            digest=wire.octets(digest, 16, "update digest"),
            facts=Facts.from_wire(facts[0]) if facts else None,
            data=wire.typed(data, bytes, "update chunk data"),
        )


def split_update(
    payload: bytes,
    run: bytes,
    round_: RoundId,
    nonce: bytes,
    *,
    facts: Facts | None = None,
    chunk_bytes: int = CHUNK_BYTES,
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
            facts=facts,
            data=data,
        )


def _facts(n_steps: bytes, loss: bytes) -> Facts | None:
    """Facts laid out as `to_bytes` does it if the loss needs four bytes; None for any others."""
    (value,) = struct.unpack(">f", loss)
    count = _number(n_steps)
    if count < 1 or not math.isfinite(value) or _is_half(value):
        return None
    return Facts(n_steps=count, loss=value)


def _is_half(value: float) -> bool:
    """Whether two bytes hold it exactly: then that is the only canonical form."""
    try:
        (half,) = struct.unpack(">e", struct.pack(">e", value))
    except OverflowError:
        return False
    return bool(half == value)


def _float32(value: float) -> float:
    """The nearest float32; infinite where that overflows."""
    try:
        (found,) = struct.unpack(">f", struct.pack(">f", value))
    except OverflowError:
        return math.inf
    return float(found)


def _number(head: bytes) -> int:
    """The number or length in the head of a CBOR value, which is in its shortest form."""
    return int.from_bytes(head[1:]) if len(head) > 1 else head[0] & 31
