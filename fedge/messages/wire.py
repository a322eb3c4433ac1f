"""Bounded CBOR: bytes to checked Python values and back."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import cbor2

from fedge.errors import PayloadError
from fedge.messages.skim import Form, Kind, skim

VERSION = 1  # of every message; a reader refuses any other
MAX_DEPTH = 8  # of values inside values; messages need 3
MAX_VALUES = 64  # in a message, unless its kind says otherwise; later releases may add some

T = TypeVar("T")


def encode(value: object) -> bytes:
    """The canonical CBOR encoding: the same value gives the same bytes."""
    return cbor2.dumps(value, canonical=True)


def decode_array(
    data: bytes,
    what: str,
    *,
    fields: Sequence[Kind],
    max_bytes: int,
    max_values: int = MAX_VALUES,
) -> list[Any]:
    """A message that is an array: the version, then these fields, which are returned."""
    found = _decode(data, what, (Kind.ANYTHING, *fields), max_bytes, max_values)
    assert isinstance(found, list)  # noqa: S101 - a skim has seen it
    _check_version(found[0], what)
    return found[1:]


def decode_map(
    data: bytes,
    what: str,
    *,
    fields: Mapping[str, Kind],
    optional: Mapping[str, Kind] | None = None,
    max_bytes: int,
    max_values: int = MAX_VALUES,
) -> dict[str, Any]:
    """A message that is a map: `v`, the version, these fields, and perhaps the optional ones.

    Unknown fields are ignored so that a later release can add one.
    """
    found = _decode(data, what, {**fields, **(optional or {})}, max_bytes, max_values)
    assert isinstance(found, dict)  # noqa: S101 - a skim has seen it
    _check_version(found.get("v"), what)
    for field in fields:
        if field not in found:
            raise PayloadError(what, expected=f"field {field!r}", found=_shape(found))
    return found


def typed(value: object, kind: type[T], what: str) -> T:
    """The value, if it is of this type; a boolean is not an integer here."""
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise PayloadError(what, expected=kind.__name__, found=_shape(value))
    return value


def bounded(value: object, low: int, high: int, what: str) -> int:
    """The value, if it is an integer in low..high."""
    number = typed(value, int, what)
    if not low <= number <= high:
        raise PayloadError(what, expected=f"{low} to {high}", found=number)
    return number


def octets(value: object, size: int, what: str) -> bytes:
    """The value, if it is a byte string of exactly this size."""
    data = typed(value, bytes, what)
    if len(data) != size:
        raise PayloadError(what, expected=f"{size} bytes", found=len(data))
    return data


def _decode(data: bytes, what: str, form: Form, max_bytes: int, max_values: int) -> object:
    if len(data) > max_bytes:
        raise PayloadError(what, expected=f"at most {max_bytes} bytes", found=len(data))
    skim(data, what, form, max_values)
    try:
        value: object = cbor2.loads(data, max_depth=MAX_DEPTH)
        # Encoding it again reveals trailing bytes, tags and any other spelling of a value.
        again = cbor2.dumps(value, canonical=True)
        is_plain = _is_plain(value)
    except Exception as error:
        # Tagged bytes become decimals, patterns, e-mails, ...: each fails in its own way.
        raise PayloadError(what, expected="CBOR", found=ascii(str(error))[:80]) from error
    if again != data:
        raise PayloadError(what, expected="canonical CBOR and nothing after it", found="other")
    if not is_plain:
        raise PayloadError(what, expected="plain values", found="tags or huge numbers")
    return value


def _is_plain(value: object) -> bool:
    """Whether it is of the types that messages use, with integers of at most 64 bits.

    A longer integer has no decimal form to put into an error message.
    """
    if isinstance(value, list):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(isinstance(key, str) for key in value) and all(map(_is_plain, value.values()))
    if isinstance(value, int):
        return -(2**63) <= value < 2**64
    return value is None or isinstance(value, bytes | str | float)


def _check_version(found: object, what: str) -> None:
    if found != VERSION or isinstance(found, bool):
        raise PayloadError(what, expected=f"version {VERSION}", found=_shape(found))


def _shape(value: object) -> str:
    """What to say of a value from outside: its type and size, never its contents."""
    if isinstance(value, list | dict | bytes | str):
        return f"{type(value).__name__} of {len(value)}"
    return repr(value)[:40]
