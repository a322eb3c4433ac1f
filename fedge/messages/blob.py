"""Models and artifacts on their way down: content-addressed chunks, asked for by range."""

from dataclasses import dataclass
from typing import Self

from fedge.errors import PayloadError
from fedge.messages import wire
from fedge.messages.chunks import CHUNK_BYTES, MAX_CHUNKS, Range
from fedge.messages.skim import Kind

KEY_DIGITS = 16  # hex digits of the SHA-256 in the topic; the whole hash is in the manifest
MAX_RANGES = 64
MAX_RANGE_VALUES = 3 * MAX_RANGES + 8  # of a message with ranges: each is a list of two
_OVERHEAD = 64
_CHUNK = (Kind.INTEGER, Kind.INTEGER, Kind.OCTETS)
_REQUEST = (Kind.TEXT, Kind.LIST)


@dataclass(frozen=True, slots=True)
class BlobChunk:
    """One chunk of a blob. CBOR array: version, chunk index, number of chunks, data."""

    index: int
    total: int
    data: bytes

    def to_bytes(self) -> bytes:
        return wire.encode([wire.VERSION, self.index, self.total, self.data])

    @classmethod
    def from_bytes(cls, payload: bytes) -> Self:
        """Raises PayloadError unless every field is of its type and in its range."""
        index, total, data = wire.decode_array(
            payload, "blob chunk", fields=_CHUNK, max_bytes=CHUNK_BYTES + _OVERHEAD
        )
        total = wire.bounded(total, 1, MAX_CHUNKS, "blob chunks")
        return cls(
            index=wire.bounded(index, 0, total - 1, "blob chunk index"),
            total=total,
            data=wire.typed(data, bytes, "blob chunk data"),
        )


@dataclass(frozen=True, slots=True)
class BlobRequest:
    """A device's request for chunks. CBOR array: version, key, [[first, last], ...], inclusive."""

    key: str
    ranges: tuple[Range, ...]

    def to_bytes(self) -> bytes:
        return wire.encode([wire.VERSION, self.key, [list(span) for span in self.ranges]])

    @classmethod
    def from_bytes(cls, payload: bytes) -> Self:
        """Raises PayloadError unless every field is of its type and in its range."""
        key, spans = wire.decode_array(
            payload, "blob request", fields=_REQUEST, max_bytes=2048, max_values=MAX_RANGE_VALUES
        )
        return cls(key=blob_key(key), ranges=read_ranges(spans, "blob request"))


def blob_key(value: object) -> str:
    """The value, if it is a blob's key: 16 lower-case hexadecimal digits."""
    key = wire.typed(value, str, "blob key")
    if len(key) != KEY_DIGITS or set(key) - set("0123456789abcdef"):
        raise PayloadError("blob key", expected="16 hexadecimal digits", found=ascii(key[:40]))
    return key


def read_ranges(value: object, what: str) -> tuple[Range, ...]:
    """Chunk ranges from outside: at most 64, each first <= last < 65 536."""
    spans = wire.typed(value, list, what)
    if len(spans) > MAX_RANGES:
        raise PayloadError(what, expected=f"at most {MAX_RANGES} ranges", found=len(spans))
    ranges = []
    for span in spans:
        pair = wire.typed(span, list, what)
        if len(pair) != 2:
            raise PayloadError(what, expected="pairs of first and last", found=len(pair))
        first = wire.bounded(pair[0], 0, MAX_CHUNKS - 1, what)
        ranges.append((first, wire.bounded(pair[1], first, MAX_CHUNKS - 1, what)))
    return tuple(ranges)
