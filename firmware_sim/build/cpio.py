"""The archive that a kernel uses as its initial file system."""

import gzip
import stat
from collections.abc import Mapping
from io import BytesIO

_MAGIC = "070701"  # "newc", see Linux' Documentation/driver-api/early-userspace/buffer-format.rst


def archive(files: Mapping[str, bytes]) -> bytes:
    """A gzipped cpio archive of executable files and the folders that contain them.

    The same files give the same bytes.

    Args:
        files: by path, without a leading slash.
    """
    out = BytesIO()
    folders = sorted({parent for path in files for parent in _parents(path)})
    for folder in folders:
        _add(out, folder, stat.S_IFDIR | 0o755, b"")
    for path in sorted(files):
        _add(out, path, stat.S_IFREG | 0o755, files[path])
    _add(out, "TRAILER!!!", 0, b"")
    return gzip.compress(out.getvalue(), compresslevel=1, mtime=0)


def _parents(path: str) -> list[str]:
    parts = path.split("/")[:-1]
    return ["/".join(parts[: n + 1]) for n in range(len(parts))]


def _add(out: BytesIO, path: str, mode: int, content: bytes) -> None:
    """One header of 13 hexadecimal numbers, the name and the content, each padded to 4 bytes."""
    name = path.encode() + b"\0"
    serial = out.tell()  # any number that is unique to the file
    fields = (serial, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name), 0)
    out.write(_MAGIC.encode() + b"".join(b"%08X" % field for field in fields))
    for part in (name, content):
        out.write(part)
        out.write(bytes(-out.tell() % 4))
