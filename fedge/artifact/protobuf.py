"""Protobuf's wire format, read strictly: known fields, right types, none more often than allowed.

What an ordinary reader tolerates (unknown fields, a message split in two) is refused, so that two
readers of the same bytes cannot disagree about their meaning.
Source: protobuf.dev/programming-guides/encoding.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from fedge.errors import ArtifactError

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types; groups, 3 and 4, are not in ONNX


class Kind(Enum):
    """How a field is encoded, and whether it may be repeated."""

    NUMBER = auto()  # a varint: negative numbers in two's complement
    REAL = auto()  # float32
    DATA = auto()  # text, bytes or a message
    NUMBERS = auto()
    REALS = auto()
    DOUBLES = auto()
    DATAS = auto()


_WIRE = {
    Kind.NUMBER: _VARINT,
    Kind.REAL: _FIXED32,
    Kind.DATA: _BYTES,
    Kind.NUMBERS: _VARINT,
    Kind.REALS: _FIXED32,
    Kind.DOUBLES: _FIXED64,
    Kind.DATAS: _BYTES,
}
_REPEATED = (Kind.NUMBERS, Kind.REALS, Kind.DOUBLES, Kind.DATAS)
_FORMATS = {Kind.REALS: "<f", Kind.DOUBLES: "<d"}


@dataclass(slots=True)
class Budget:
    """How many fields and numbers may still be read, which bounds a reader's time."""

    left: int

    def spend(self, n: int) -> None:
        """Raises ArtifactError once there is nothing left."""
        self.left -= n
        if self.left < 0:
            raise ArtifactError("ONNX model", expected="fewer fields", found="too many to read")


@dataclass(slots=True)
class Message:
    """The fields of one message by number; an absent field has its empty value."""

    budget: Budget
    _single: dict[int, Any] = field(default_factory=dict)
    _parts: dict[int, list[tuple[Kind, bool, Any]]] = field(default_factory=dict)

    def has(self, number: int) -> bool:
        return number in self._single or number in self._parts

    def number(self, number: int) -> int:
        """A signed 64-bit integer."""
        return _signed(self._single.get(number, 0))

    def real(self, number: int) -> float:
        (value,) = struct.unpack("<f", self._single.get(number, bytes(4)))
        return float(value)

    def data(self, number: int) -> memoryview:
        found: memoryview = self._single.get(number, memoryview(b""))
        return found

    def text(self, number: int) -> str:
        return _text(self.data(number))

    def datas(self, number: int) -> list[memoryview]:
        return [value for _, _, value in self._parts.get(number, ())]

    def texts(self, number: int) -> tuple[str, ...]:
        return tuple(map(_text, self.datas(number)))

    def numbers(self, number: int) -> tuple[int, ...]:
        """Signed 64-bit integers, packed or not."""
        found: list[int] = []
        for _, is_packed, value in self._parts.get(number, ()):
            if not is_packed:
                found.append(_signed(value))
                continue
            position = 0
            while position < len(value):
                self.budget.spend(1)
                one, position = read_varint(value, position)
                found.append(_signed(one))
        return tuple(found)

    def reals(self, number: int) -> tuple[float, ...]:
        """Floating-point numbers, packed or not."""
        found: list[float] = []
        for kind, _, value in self._parts.get(number, ()):
            layout = _FORMATS[kind]
            self.budget.spend(len(value) // struct.calcsize(layout))
            if len(value) % struct.calcsize(layout):
                raise ArtifactError("ONNX model", expected="whole numbers", found="a part of one")
            found += [one for (one,) in struct.iter_unpack(layout, value)]
        return tuple(found)


def read(data: memoryview, what: str, known: Mapping[int, Kind], budget: Budget) -> Message:
    """A message that has these fields and no others.

    Raises:
        ArtifactError: if it has others, or a field is truncated, repeated or of another type.
    """
    message = Message(budget)
    for number, wire, body in _walk(data, budget):
        kind = known.get(number)
        is_packed = wire == _BYTES and kind in (Kind.NUMBERS, Kind.REALS, Kind.DOUBLES)
        if kind is None or (wire != _WIRE[kind] and not is_packed):
            raise ArtifactError(what, expected="known fields", found=f"field {number}/{wire}")
        if kind in _REPEATED:
            message._parts.setdefault(number, []).append((kind, is_packed, body))  # noqa: SLF001
        elif number in message._single:  # noqa: SLF001 - its maker
            raise ArtifactError(what, expected=f"field {number} once", found="it twice")
        else:
            message._single[number] = body  # noqa: SLF001
    return message


def fields(data: memoryview) -> Iterator[tuple[int, memoryview, memoryview]]:
    """Each field's number, its whole bytes, and its body (empty unless length-delimited)."""
    for number, wire, start, body, end in _positions(data):
        yield number, data[start:end], data[body:end] if wire == _BYTES else data[end:end]


def _walk(data: memoryview, budget: Budget) -> Iterator[tuple[int, int, Any]]:
    for number, wire, _, body, end in _positions(data):
        budget.spend(1)
        yield number, wire, read_varint(data, body)[0] if wire == _VARINT else data[body:end]


def _positions(data: memoryview) -> Iterator[tuple[int, int, int, int, int]]:
    """Each field's number and wire type, and the offsets of its start, its body and its end."""
    position = 0
    while position < len(data):
        start = position
        tag, body = read_varint(data, position)
        match tag & 7:
            case 0:
                _, position = read_varint(data, body)
            case 1:
                position = body + 8
            case 2:
                size, body = read_varint(data, body)
                position = body + size
            case 5:
                position = body + 4
            case kind:
                raise ArtifactError("ONNX model", expected="protobuf", found=f"wire type {kind}")
        if position > len(data):
            raise ArtifactError("ONNX model", expected="protobuf", found="a field cut short")
        yield tag >> 3, tag & 7, start, body, position


def read_varint(data: Sequence[int], position: int) -> tuple[int, int]:
    """The value and the position after it; at most ten bytes, of which the low 64 bits count."""
    if position < len(data) and data[position] < 0x80:  # most are this small
        return data[position], position + 1
    value = 0
    for index, byte in enumerate(data[position : position + 10]):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, position + index + 1
    raise ArtifactError("ONNX model", expected="protobuf", found="a number cut short")


def _signed(value: int) -> int:
    value &= 2**64 - 1
    return value - 2**64 if value >> 63 else value


def _text(data: memoryview) -> str:
    try:
        return str(data, "utf-8")
    except UnicodeDecodeError:
        raise ArtifactError("ONNX model", expected="UTF-8 text", found="other bytes") from None
