"""The payload: an update as bytes.

Layout, format version 1; all numbers little-endian:

    1 B   format version in the high four bits, flags in the low four; no flag is defined
    1 B   scheme: bits 0-3 kind of values, bits 4-5 index coder, bits 6-7 bits a level: their
          log2, but for rotated ones their number less one
            0xC0  dense int8       kind 0, no coder,   8 bits
            0xD1  sparse int8      kind 1, Rice coder, 8 bits;   0xE1 with the context coder
            0x91  sparse int4      kind 1, Rice coder, 4 bits;   0xA1 with the context coder
            0x12  sparse sign      kind 2, Rice coder, 1 bit;    0x22 with the context coder
            0x14  sparse float32   kind 4, Rice coder;           0x24 with the context coder
            0x05  dense float32    kind 5, no coder
            0x03, 0x43, 0x83, 0xC3  rotated, 1 to 4 bits    kind 3, no coder
            0x33, 0x73, 0xB3, 0xF3  masked, 1 to 4 bits     kind 3, the seed says what is kept
    4 B   first bytes of the model's schema hash
    varints  round, n_params, n_kept (sparse only), n_examples, seed (kind 3 only),
             n_sections (always 1)
    body
    4 B   CRC-32 (zlib polynomial) of all bytes before it

A varint is unsigned LEB128 in its shortest form: seven bits a byte, low ones first, the top bit
set on all bytes but the last. round, n_examples and seed are below 2**32, n_params at most 2**29,
n_kept at most n_params, n_examples at least 1.

Body of a sparse scheme with the Rice coder: kept values in the order of their indices, in blocks
of 256, the last one shorter. Of a block of m values:

    2 B   scale, bf16 from 0x0080 to 0x7BFF     (not float32)
    1 B   bits 0-4 Rice parameter r of gaps, at most 28; bits 5-7 v of levels (int8: at most 6)
    1 B   smallest level                        (int8, int4)
    gaps  ceil(m * r / 8) B the low r bits of every gap, then the rests in unary
    ceil(m / 8) B signs, 1 for minus            (not float32)
    levels above the smallest, as the gaps are, with v for r     (int8, int4)
    4 * m B values                              (float32)

A gap is the number of parameters skipped since the last kept one, of this block or the one before.
Unary: the i-th rest is the number of zero bits between the set bits i - 1 and i; the stream ends
with the byte of the last set bit, at most 3 * m bits long, as it is with the shortest code. Bits
fill a byte from the lowest; unused ones are zero. The value is, in float32, level * scale with its
sign; level is 1 for sign, at most 127 for int8. An int4 body is read as an int8 one; its encoder
stops at level 7.

Body of a sparse scheme with the context coder: the scales of all blocks (not float32), the values
(float32 only), then what fedge/_kernels/_context.pyx says of gaps, levels and signs.

Body of dense int8: for each 256 values a scale as above, then a signed byte for each; the value is
byte * scale. Body of dense float32: the values.

Body of a rotated or masked scheme: fedge/_kernels/_eden.pyx states it. A masked payload holds the
values of n_kept places, which fedge/_kernels/_mask.pyx draws from the seed, each times the number
of places that it stands for.
"""

import struct
import zlib
from dataclasses import dataclass
from enum import IntEnum
from typing import NoReturn

from fedge.errors import PayloadError

MAX_PARAMS = 2**29
BLOCK = 256  # values that share a scale
ROTATED = 4096  # values that are rotated together

_VERSION = 0x10
_HEAD = struct.Struct("<BB4s")
_CRC = struct.Struct("<I")
_MAX_VARINT = 2**32 - 1
_MIN_SIZE = _HEAD.size + 4 + _CRC.size  # four varints of one byte: round to n_sections, dense


class Scheme(IntEnum):
    """What the body holds; the number is the payload's second byte."""

    DENSE_INT8 = 0xC0
    SPARSE_INT8 = 0xD1
    SPARSE_SIGN = 0x12
    SPARSE_FLOAT32 = 0x14
    DENSE_FLOAT32 = 0x05
    SPARSE_INT4 = 0x91
    SPARSE_INT8_CONTEXT = 0xE1
    SPARSE_INT4_CONTEXT = 0xA1
    SPARSE_SIGN_CONTEXT = 0x22
    SPARSE_FLOAT32_CONTEXT = 0x24
    ROTATED_1 = 0x03
    ROTATED_2 = 0x43
    ROTATED_3 = 0x83
    ROTATED_4 = 0xC3
    MASKED_1 = 0x33
    MASKED_2 = 0x73
    MASKED_3 = 0xB3
    MASKED_4 = 0xF3

    @property
    def is_sparse(self) -> bool:
        return self & 0x30 != 0  # it has an index coder

    @property
    def is_contextual(self) -> bool:
        return self & 0x30 == 0x20

    @property
    def is_rotated(self) -> bool:
        return self & 0x0F == 3

    @property
    def bits(self) -> int:
        """Bits of a value before entropy coding; 8 for int4, whose levels are bytes until then."""
        return (self >> 6) + 1 if self.is_rotated else _BITS[self & 0x0F]


_KNOWN = frozenset(Scheme)
_BITS = {0: 8, 1: 8, 2: 1, 4: 32, 5: 32}  # by kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """What the sender writes into the header beside the update itself."""

    schema: bytes = bytes(4)  # first bytes of the model's schema hash
    round: int = 0
    n_examples: int = 1

    def __post_init__(self) -> None:
        if len(self.schema) != 4:
            raise ValueError(f"schema must be the first 4 bytes of the hash, not {self.schema!r}")
        if not (0 <= self.round <= _MAX_VARINT and 1 <= self.n_examples <= _MAX_VARINT):
            raise ValueError("round and n_examples must be below 2**32, and n_examples at least 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadHeader:
    """What a payload says about itself, after its checksum was found right."""

    scheme: Scheme
    schema: bytes  # 4 bytes
    round: int
    n_params: int  # at most 2**29
    n_kept: int  # n_params for a dense scheme
    n_examples: int
    seed: int = 0  # of rotations and mask, below 2**32
    body: slice  # where the body is in the payload


def seal(
    scheme: Scheme,
    stamp: Stamp,
    *,
    n_params: int,
    n_kept: int,
    body: bytes | memoryview,
    seed: int = 0,
) -> bytes:
    """Header, body and checksum."""
    kept = [n_kept] if scheme.is_sparse else []
    seeds = [seed] if scheme.is_rotated else []
    numbers = [stamp.round, n_params, *kept, stamp.n_examples, *seeds, 1]
    head = _HEAD.pack(_VERSION, scheme, stamp.schema) + b"".join(map(_varint, numbers))
    checksum = zlib.crc32(body, zlib.crc32(head))
    return b"".join([head, body, _CRC.pack(checksum)])


def read_header(payload: bytes) -> PayloadHeader:
    """Checks version, checksum and all claimed sizes against the length of the payload.

    The body is not looked into. Its reader holds it to n_kept and n_params.

    Raises:
        PayloadError: if the payload was damaged, or was not written by this format version.
    """
    scheme, schema = _check_frame(payload)
    end = len(payload) - _CRC.size
    round_, position = _read_varint(payload, _HEAD.size, end)
    n_params, position = _read_varint(payload, position, end)
    n_kept = n_params
    if scheme.is_sparse:
        n_kept, position = _read_varint(payload, position, end)
    n_examples, position = _read_varint(payload, position, end)
    seed = 0
    if scheme.is_rotated:
        seed, position = _read_varint(payload, position, end)
    n_sections, position = _read_varint(payload, position, end)
    if n_params > MAX_PARAMS:
        _refuse("parameters", f"at most {MAX_PARAMS}", n_params)
    if n_kept > n_params:
        _refuse("kept values", f"at most {n_params}", n_kept)
    if n_examples < 1:
        _refuse("examples", "at least 1", n_examples)
    if n_sections != 1:
        _refuse("sections", 1, n_sections)
    _check_body_size(scheme, n_kept, end - position)
    return PayloadHeader(
        scheme=scheme,
        schema=schema,
        round=round_,
        n_params=n_params,
        n_kept=n_kept,
        n_examples=n_examples,
        seed=seed,
        body=slice(position, end),
    )


def _refuse(what: str, expected: object, found: object) -> NoReturn:
    raise PayloadError(f"payload {what}", expected=expected, found=found)


def _check_frame(payload: bytes) -> tuple[Scheme, bytes]:
    """Size, version, checksum and scheme, in this order; gives scheme and schema."""
    size = len(payload)
    if size < _MIN_SIZE:
        _refuse("size", f"at least {_MIN_SIZE} bytes", size)
    version, scheme, schema = _HEAD.unpack_from(payload)
    if version != _VERSION:
        _refuse("version and flags", f"{_VERSION:#04x}", f"{version:#04x}")
    (claimed,) = _CRC.unpack_from(payload, size - _CRC.size)
    checksum = zlib.crc32(memoryview(payload)[: -_CRC.size])
    if checksum != claimed:
        _refuse("checksum", f"{claimed:#010x}", f"{checksum:#010x}")
    if scheme not in _KNOWN:
        _refuse("scheme", " or ".join(f"{known:#04x}" for known in Scheme), f"{scheme:#04x}")
    return Scheme(scheme), schema


def _check_body_size(scheme: Scheme, n_kept: int, size: int) -> None:
    """Nothing is allocated for more values than the body has room for."""
    n_blocks = -(-n_kept // BLOCK)
    if scheme is Scheme.DENSE_FLOAT32:
        least = most = 4 * n_kept
    elif scheme is Scheme.DENSE_INT8:
        least = most = n_kept + 2 * n_blocks
    elif scheme.is_rotated:
        least = most = rotated_size(n_kept, scheme.bits)
    else:
        least, most = least_sparse_size(scheme, n_kept), 8 * n_kept + 16 * n_blocks
    if not least <= size <= most:
        _refuse("body", f"{least} to {most} bytes", size)


def rotated_size(n_kept: int, bits: int) -> int:
    """Bytes of a rotated body: a scale for each 4096 values, and bits for each value."""
    n_blocks = (n_kept + ROTATED // 2) // ROTATED if n_kept >= ROTATED else min(n_kept, 1)
    return 4 * n_blocks + -(-n_kept * bits // 8)


def least_sparse_size(scheme: Scheme, n_kept: int) -> int:
    """Bytes that a body of so many kept values cannot fall short of.

    The Rice coder spends a bit on a gap and one on a sign, and one on an int8 level. The context
    coder could spend less than a bit on a value; an encoder must not use it then.
    """
    if scheme.is_contextual:
        return 4 * n_kept if scheme.bits == 32 else n_kept // 8
    return n_kept * {1: 2, 8: 3, 32: 33}[scheme.bits] // 8


def _varint(number: int) -> bytes:
    if number < 128:
        return bytes((number,))
    head = bytearray()
    while number >= 128:
        head.append(number & 127 | 128)
        number >>= 7
    return bytes([*head, number])


def _read_varint(payload: bytes, position: int, end: int) -> tuple[int, int]:
    """The number at position and where the next field begins."""
    number = 0
    for shift in range(0, 35, 7):
        if position >= end:
            _refuse("header", "more bytes", "its end")
        byte = payload[position]
        position += 1
        number |= (byte & 127) << shift
        if byte < 128:
            if byte == 0 and shift > 0:
                _refuse("number", "its shortest form", "a longer one")
            if number > _MAX_VARINT:
                _refuse("number", f"at most {_MAX_VARINT}", number)
            return number, position
    _refuse("number", "at most 5 bytes", "more")
