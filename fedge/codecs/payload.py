"""The payload: an update as bytes.

Layout, format version 1; all numbers little-endian:

    1 B   format version in the high four bits, flags in the low four; no flag is defined
    1 B   scheme: bits 0-3 kind of values, bits 4-5 index coder, bits 6-7 bits a level: their
          log2, except for rotated ones: their number less one
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
of 256, the last one shorter. A block of m values:

    2 B   scale, bf16 from 0x0080 to 0x7BFF     (not float32)
    1 B   bits 0-4 Rice parameter r of gaps, at most 28; bits 5-7 v of levels, at most 6 (int8) or
          2 (int4)
    1 B   smallest level                        (int8, int4)
    gaps  ceil(m * r / 8) B the low r bits of every gap, then the rests in unary
    ceil(m / 8) B signs, 1 for minus            (not float32)
    levels above the smallest, as the gaps are, with v for r     (int8, int4)
    4 * m B values                              (float32)

A gap is the number of parameters skipped since the last kept one, of this block or the one before.
Unary: the i-th rest is the number of zero bits between the set bits i - 1 and i; the stream ends
with the byte of the last set bit, at most 3 * m bits long, as it is with the shortest code. Bits
fill a byte from the lowest; unused ones are zero. The value is, in float32, level * scale with its
sign; level is 1 for sign, at most 127 for int8 and 7 for int4.

Body of a sparse scheme with the context coder: the scales of all blocks (not float32), the values
(float32 only), then gaps, levels and signs as fedge/_kernels/context.pyx states.

Body of dense int8: for each 256 values a scale as above, then a signed byte for each; the value is
byte * scale. Body of dense float32: the values.

Body of a rotated or masked scheme: fedge/_kernels/eden.pyx states it. A masked payload holds the
values of n_kept places, which fedge/_kernels/mask.pyx draws from the seed, each times the number
of places that it stands for.
"""

import struct
import zlib
from dataclasses import dataclass
from typing import NoReturn

from fedge.codecs.scheme import Scheme, body_sizes
from fedge.codecs.varint import MAX_VARINT, read_varint, write_varint
from fedge.errors import PayloadError

MAX_PARAMS = 2**29

_VERSION = 0x10
_HEAD = struct.Struct("<BB4s")
_CRC = struct.Struct("<I")
_KNOWN = {int(scheme): scheme for scheme in Scheme}
_MIN_SIZE = _HEAD.size + 4 + _CRC.size  # four varints of one byte: round to n_sections, dense


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """What the sender writes into the header beside the update itself."""

    schema: bytes = bytes(4)  # first bytes of the model's schema hash
    round: int = 0
    n_examples: int = 1

    def __post_init__(self) -> None:
        if len(self.schema) != 4:
            raise ValueError(f"schema must be the first 4 bytes of the hash, not {self.schema!r}")
        if not (0 <= self.round <= MAX_VARINT and 1 <= self.n_examples <= MAX_VARINT):
            raise ValueError("round and n_examples must be below 2**32, and n_examples at least 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadHeader:
    """What a payload says about itself, once its checksum has been verified."""

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
    head = bytearray((_VERSION, scheme))
    head += stamp.schema
    kept = (n_kept,) if scheme.is_sparse else ()
    seeds = (seed,) if scheme.is_rotated else ()
    for number in (stamp.round, n_params, *kept, stamp.n_examples, *seeds, 1):
        write_varint(number, head)
    checksum = zlib.crc32(body, zlib.crc32(head))
    return b"".join((head, body, _CRC.pack(checksum)))


def read_header(payload: bytes) -> PayloadHeader:
    """Checks version, checksum and all claimed sizes against the length of the payload.

    The body is not looked into. Its reader checks it against n_kept and n_params.

    Raises:
        PayloadError: if the payload was damaged, or was not written by this format version.
    """
    scheme, schema = _check_frame(payload)
    end = len(payload) - _CRC.size
    round_, position = read_varint(payload, _HEAD.size, end)
    n_params, position = read_varint(payload, position, end)
    n_kept = n_params
    if scheme.is_sparse:
        n_kept, position = read_varint(payload, position, end)
    n_examples, position = read_varint(payload, position, end)
    seed = 0
    if scheme.is_rotated:
        seed, position = read_varint(payload, position, end)
    n_sections, position = read_varint(payload, position, end)
    if n_params > MAX_PARAMS:
        _refuse("parameters", f"at most {MAX_PARAMS}", n_params)
    if n_kept > n_params:
        _refuse("kept values", f"at most {n_params}", n_kept)
    if n_examples < 1:
        _refuse("examples", "at least 1", n_examples)
    if n_sections != 1:
        _refuse("sections", 1, n_sections)
    least, most = body_sizes(scheme, n_kept)
    if not least <= end - position <= most:
        _refuse("body", f"{least} to {most} bytes", end - position)
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
    """Checks size, version, checksum and scheme, in this order; returns scheme and schema."""
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
    return _KNOWN[scheme], schema
