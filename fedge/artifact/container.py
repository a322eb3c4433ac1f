"""The zip that holds an artifact: stored, dated 1980-01-01, the same content in the same bytes.

Any zip program can read it. The reader accepts only what the writer writes, so every byte of a
file is either compared with its expected value or covered by a CRC-32, and no size is trusted
until it has been checked against the bytes that are there.
"""

import struct
import zlib
from collections.abc import Sequence

from fedge.errors import ArtifactError

MAX_FILE = 2**31  # bytes; below the 4 GiB where zip changes its format

# Source: APPNOTE.TXT 6.3.10, sections 4.3.7, 4.3.12 and 4.3.16.
_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_VERSION, _METHOD_STORED, _DATE = 20, 0, 0x21  # 1980-01-01: year 0, month 1, day 1
_MODE = 0o100644 << 16


def pack(members: Sequence[tuple[str, bytes]]) -> bytes:
    """The archive of these members, in this order; the same bytes for the same members.

    Raises:
        ArtifactError: if it would be larger than 2 GiB.
    """
    total = sum(len(data) for _, data in members)
    if total > MAX_FILE - 2**16:
        raise ArtifactError("artifact", expected=f"at most {MAX_FILE} bytes", found=total)
    parts: list[bytes] = []
    entries: list[tuple[str, int, int]] = []
    for name, data in members:
        entries.append((name, zlib.crc32(data), len(data)))
        parts += [_local(*entries[-1]), data]
    return b"".join([*parts, _directory(entries)])


def unpack(archive: bytes, names: Sequence[str]) -> list[memoryview]:
    """The contents of exactly these members, as views of the archive.

    Raises:
        ArtifactError: if any byte differs from what `pack` would have written.
    """
    if len(archive) > MAX_FILE:
        raise ArtifactError("artifact", expected=f"at most {MAX_FILE} bytes", found=len(archive))
    view, position = memoryview(archive), 0
    contents: list[memoryview] = []
    entries: list[tuple[str, int, int]] = []
    for name in names:
        crc, size = _read_local(view, position, name)
        start = position + _LOCAL.size + len(name)
        contents.append(view[start : start + size])
        if len(contents[-1]) != size or zlib.crc32(contents[-1]) != crc:
            raise ArtifactError(f"{name} in artifact", expected="an intact member", found="damage")
        entries.append((name, crc, size))
        position = start + size
    if view[position:] != _directory(entries):
        raise ArtifactError("end of artifact", expected="its directory", found="other bytes")
    return contents


def _read_local(view: memoryview, position: int, name: str) -> tuple[int, int]:
    """CRC-32 and size of the member whose header starts at `position`."""
    header = view[position : position + _LOCAL.size + len(name)]
    if len(header) == _LOCAL.size + len(name):
        crc, size = _LOCAL.unpack_from(header)[6:8]
        if header == _local(name, crc, size):
            return crc, size
    raise ArtifactError("artifact", expected=f"the member {name}", found="other bytes")


def _local(name: str, crc: int, size: int) -> bytes:
    fields = (_VERSION, 0, _METHOD_STORED, 0, _DATE, crc, size, size, len(name), 0)
    return _LOCAL.pack(b"PK\x03\x04", *fields) + name.encode("ascii")


def _directory(entries: Sequence[tuple[str, int, int]]) -> bytes:
    parts: list[bytes] = []
    position = 0
    for name, crc, size in entries:
        made_by = _VERSION | 3 << 8  # 3 is Unix, so that _MODE gives the file its permissions
        fields = (made_by, _VERSION, 0, _METHOD_STORED, 0, _DATE, crc, size, size, len(name))
        parts += [_CENTRAL.pack(b"PK\x01\x02", *fields, 0, 0, 0, 0, _MODE, position)]
        parts += [name.encode("ascii")]
        position += _LOCAL.size + len(name) + size
    directory = b"".join(parts)
    count = len(entries)
    return directory + _END.pack(b"PK\x05\x06", 0, 0, count, count, len(directory), position, 0)
