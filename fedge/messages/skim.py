"""A look at the CBOR of a message before anything is decoded: what it is made of, and how much.

A decoder makes an object of every value that somebody sends: 61 kB of empty lists cost 73 ms. Here
only the heads of values are read, and no more of them than this kind of message may have; the
contents of strings are skipped. Source: RFC 8949, section 3.
"""

from collections.abc import Mapping, Sequence
from enum import Enum

from fedge.errors import PayloadError

_UNSIGNED, _NEGATIVE, _BYTES, _TEXT, _LIST, _MAP, _TAG, _SIMPLE = range(8)  # major types
_LONGEST_NAME = 64  # of a field, in bytes


class Kind(Enum):
    """What a field may be, by its major types; its range is checked later."""

    INTEGER = frozenset({_UNSIGNED, _NEGATIVE})
    NUMBER = frozenset({_UNSIGNED, _NEGATIVE, _SIMPLE})
    BOOLEAN = frozenset({_SIMPLE})
    OCTETS = frozenset({_BYTES})
    TEXT = frozenset({_TEXT})
    LIST = frozenset({_LIST})
    MAP = frozenset({_MAP})
    LIST_OR_NOTHING = frozenset({_LIST, _SIMPLE})
    ANYTHING = frozenset(range(8))


Form = Sequence[Kind] | Mapping[str, Kind]  # of an array, value by value; of a map, field by field


def skim(data: bytes, what: str, form: Form, most_values: int) -> None:
    """Refuse a message that is not of its kind, after at most `most_values` + 1 heads.

    The unknown fields of a map may be anything. Values inside values count too.

    Raises:
        PayloadError: for another type or number of values, too many of them, a tag, an indefinite
            length, an end in the middle of a value, or bytes after the last one.
    """
    reader = _Reader(data, what, most_values)
    major, size = reader.head()
    if isinstance(form, Mapping):
        if major != _MAP:
            raise PayloadError(what, expected="a map", found=reader.said(major))
        for _ in range(reader.bounded(2 * size) // 2):
            name = reader.name()
            reader.value(form.get(name, Kind.ANYTHING), name)
    else:
        if major != _LIST or size != len(form):
            raise PayloadError(what, expected=f"an array of {len(form)}", found=reader.said(major))
        for number, kind in enumerate(form):
            reader.value(kind, str(number))
    if reader.position != len(data):
        raise PayloadError(
            what, expected="canonical CBOR and nothing after it", found=f"{len(data)} bytes"
        )


class _Reader:
    """Steps through values and counts them."""

    def __init__(self, data: bytes, what: str, most_values: int) -> None:
        self._data, self._what, self._most = data, what, most_values
        self._left = most_values + 1  # the outermost one does not count
        self.position = 0

    def head(self) -> tuple[int, int]:
        """Major type and size (or number) of the value that begins here."""
        self._left -= 1
        if self._left < 0:
            self._refuse_many()
        if self.position >= len(self._data):
            self._refuse_end()
        first = self._data[self.position]
        self.position += 1
        major, size = first >> 5, first & 31
        if size >= 24:
            n_bytes = 1 << (size - 24)
            if size > 27:
                raise PayloadError(
                    self._what, expected="canonical CBOR", found="an indefinite length"
                )
            size = int.from_bytes(self._data[self.position : self.position + n_bytes])
            self.position += n_bytes
        if major == _TAG:
            raise PayloadError(self._what, expected="plain values", found="a tag")
        return major, size

    def value(self, kind: Kind, name: str) -> None:
        """Step over one value and everything in it."""
        if self.position < len(self._data):
            major = self._data[self.position] >> 5
            if major not in kind.value:
                what = f"field {name[:_LONGEST_NAME]} of {self._what}"
                raise PayloadError(what, expected=kind.name.lower(), found=self.said(major))
        n_values = 1
        while n_values:
            n_values -= 1
            major, size = self.head()
            if major in (_BYTES, _TEXT):
                self.position += size
                if self.position > len(self._data):
                    self._refuse_end()
            elif major in (_LIST, _MAP):
                n_values += size if major == _LIST else 2 * size
                self.bounded(n_values)
        if self.position > len(self._data):
            self._refuse_end()

    def name(self) -> str:
        """Step over a field's name."""
        major, size = self.head()
        if major != _TEXT or size > _LONGEST_NAME:
            expected = f"names of at most {_LONGEST_NAME} bytes"
            raise PayloadError(self._what, expected=expected, found=self.said(major))
        self.position += size
        return self._data[self.position - size : self.position].decode("utf-8", "replace")

    def bounded(self, n_values: int) -> int:
        """The number, if that many values may still come."""
        if n_values > self._left:
            self._refuse_many()
        return n_values

    def said(self, major: int) -> str:
        """What to call a value from outside in an error."""
        names = ("an integer", "an integer", "bytes", "text", "a list", "a map", "a tag", "a float")
        return names[major]

    def _refuse_many(self) -> None:
        raise PayloadError(self._what, expected=f"at most {self._most} values", found="more")

    def _refuse_end(self) -> None:
        raise PayloadError(self._what, expected="CBOR", found="an end in the middle of a value")
