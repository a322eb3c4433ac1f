"""Artifacts and models on disk, named by their SHA-256."""

import hashlib
import hmac
import os
from pathlib import Path

from fedge.messages import BlobRef
from fedge.storage import make_private, write_file, writing


class BlobCache:
    """Files named by their content: written whole or not at all, verified when read.

    Args:
        folder: created if it does not exist.
        keep: how many of the newest blobs survive a `put`.
    """

    def __init__(self, folder: Path, *, keep: int = 2) -> None:
        self._folder, self._keep = folder, keep
        make_private(folder)
        with writing(folder):
            for left_over in folder.glob(".*"):  # a write interrupted by a power cut
                left_over.unlink()

    def get(self, ref: BlobRef) -> bytes | None:
        """The blob, or None if it is not here; a damaged file is removed and counts as absent."""
        path = self._path(ref)
        with writing(path):
            if not path.exists():
                return None
            if path.stat().st_size == ref.size_bytes:
                data = path.read_bytes()
                if hmac.compare_digest(hashlib.sha256(data).digest(), ref.sha256):
                    return data
            path.unlink()
        return None

    def has(self, ref: BlobRef) -> bool:
        """Whether there is a file of this name, damaged or not."""
        return self._path(ref).exists()

    def put(self, ref: BlobRef, data: bytes) -> None:
        """Keep a blob whose hash has been checked, and forget the oldest beyond `keep`.

        Raises:
            StorageError: if it cannot be written.
        """
        path = self._path(ref)
        write_file(path, data, is_private=True)
        with writing(path):
            others = [other for other in self._folder.iterdir() if other != path]
            others.sort(key=_written_ns, reverse=True)
            _date_after(path, others)
            for old in others[self._keep - 1 :]:
                old.unlink()

    def _path(self, ref: BlobRef) -> Path:
        return self._folder / ref.sha256.hex()


def _written_ns(path: Path) -> int:
    return path.stat().st_mtime_ns


def _date_after(path: Path, others: list[Path]) -> None:
    """Make it the newest, even if a board without a battery has set its clock back."""
    newest_ns = max(map(_written_ns, others), default=0)
    if _written_ns(path) <= newest_ns:
        os.utime(path, ns=(newest_ns + 1, newest_ns + 1))
