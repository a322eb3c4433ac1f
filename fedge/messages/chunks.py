"""Cutting bytes into chunks, and putting these together again in any order."""

import hashlib
import hmac

from fedge.errors import PayloadError

CHUNK_BYTES = 61_440  # with topic and header one packet stays below 64 KiB, the strictest broker's
MAX_CHUNKS = 65_536

Range = tuple[int, int]  # chunks first to last, both included


def n_chunks(size_bytes: int, chunk_bytes: int = CHUNK_BYTES) -> int:
    """How many chunks this many bytes need; no bytes at all still need one."""
    return max(1, -(-size_bytes // chunk_bytes))


def slice_chunk(data: bytes, index: int, chunk_bytes: int = CHUNK_BYTES) -> bytes:
    """Chunk number `index` of the data."""
    return data[index * chunk_bytes : (index + 1) * chunk_bytes]


def digest16(data: bytes) -> bytes:
    """The first half of the SHA-256, by which every chunk names the whole."""
    return hashlib.sha256(data).digest()[:16]


def check_digest(data: bytes, digest: bytes) -> None:
    """Raises PayloadError unless the SHA-256 of the data begins with the digest."""
    found = hashlib.sha256(data).digest()[: len(digest)]
    if not hmac.compare_digest(found, digest):
        raise PayloadError("message digest", expected=digest.hex()[:16], found=found.hex()[:16])


class Assembly:
    """The chunks of one whole as they come in: in any order, some twice, some still missing.

    Memory is bounded by `max_bytes`, whatever the sender claims.

    Args:
        digest: the leading bytes of the SHA-256 that the whole must have.
        total: how many chunks there are, 1 to 65 536.
        max_bytes: size limit of the whole.
    """

    def __init__(self, digest: bytes, total: int, *, max_bytes: int) -> None:
        most = min(MAX_CHUNKS, max(1, max_bytes))
        if not 1 <= total <= most:
            raise PayloadError("chunks of a message", expected=f"1 to {most}", found=total)
        self.digest, self.total = digest, total
        self._max_bytes = max_bytes
        self._chunks: dict[int, bytes] = {}
        self._size = 0

    def add(self, index: int, data: bytes) -> None:
        """Take one chunk; one that is already here is ignored."""
        if not 0 <= index < self.total:
            raise PayloadError("chunk index", expected=f"0 to {self.total - 1}", found=index)
        if index in self._chunks:
            return
        if self._size + len(data) > self._max_bytes:
            raise PayloadError(
                "message size", expected=f"at most {self._max_bytes}", found=self._size + len(data)
            )
        self._chunks[index] = data
        self._size += len(data)

    @property
    def size_bytes(self) -> int:
        """What the chunks so far hold."""
        return self._size

    @property
    def n_here(self) -> int:
        """How many chunks have come."""
        return len(self._chunks)

    @property
    def is_complete(self) -> bool:
        return len(self._chunks) == self.total

    def missing(self, *, most: int = 64) -> list[Range]:
        """The ranges that are still missing, lowest first, and at most this many."""
        ranges: list[Range] = []
        for index in range(self.total):
            if index in self._chunks:
                continue
            if ranges and ranges[-1][1] == index - 1:
                ranges[-1] = (ranges[-1][0], index)
            elif len(ranges) == most:
                break
            else:
                ranges.append((index, index))
        return ranges

    def whole(self) -> bytes:
        """The message put together.

        Raises:
            PayloadError: if its SHA-256 does not begin with the digest.
        """
        data = b"".join(self._chunks[index] for index in range(self.total))
        check_digest(data, self.digest)
        return data
