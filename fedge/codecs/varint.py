"""Unsigned LEB128 in its shortest form, for numbers below 2**32."""

from fedge.errors import PayloadError

MAX_VARINT = 2**32 - 1


def write_varint(number: int, out: bytearray) -> None:
    """Appends number: seven bits a byte, low ones first, the top bit set on all but the last."""
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)


def read_varint(payload: bytes, position: int, end: int) -> tuple[int, int]:
    """The number at position and where the next field begins.

    Raises:
        PayloadError: if a number is cut off, too large, or longer than it need be.
    """
    if position < end and payload[position] < 128:  # most fields fit in one byte
        return payload[position], position + 1
    number = 0
    for shift in range(0, 35, 7):
        if position >= end:
            raise _refused("header", "more bytes", "its end")
        byte = payload[position]
        position += 1
        number |= (byte & 127) << shift
        if byte < 128:
            if byte == 0 and shift > 0:
                raise _refused("number", "its shortest form", "a longer one")
            if number > MAX_VARINT:
                raise _refused("number", f"at most {MAX_VARINT}", number)
            return number, position
    raise _refused("number", "at most 5 bytes", "more")


def _refused(what: str, expected: object, found: object) -> PayloadError:
    return PayloadError(f"payload {what}", expected=expected, found=found)
