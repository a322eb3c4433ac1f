"""One blob on its way down: which chunks have arrived, and when to ask for the rest."""

import random

from fedge.device.backoff import Backoff
from fedge.errors import PayloadError
from fedge.messages import CHUNK_BYTES, Assembly, BlobChunk, BlobRef, BlobRequest, n_chunks

MAX_BLOB_BYTES = 2**30  # a device holds it all in memory; more than this is a mistake
_ASK_FIRST_S, _ASK_MOST_S = 1.0, 30.0


class Download:
    """A blob's chunks as they arrive; asks again, with growing pauses, while none arrive.

    Chunks survive a broken link: the next request names only the missing ones.

    Args:
        ref: hash and size of the whole blob.
        rng: for the pauses.

    Raises:
        PayloadError: on construction, if the blob is too large for a device.
    """

    def __init__(self, ref: BlobRef, rng: random.Random) -> None:
        if ref.size_bytes > MAX_BLOB_BYTES:
            raise PayloadError(
                f"size of blob {ref.key}",
                expected=f"at most {MAX_BLOB_BYTES} bytes",
                found=ref.size_bytes,
            )
        self.ref = ref
        self._rng = rng
        self._chunks = self._empty()
        self._ask_at_s = 0.0
        self._backoff = Backoff(_ASK_FIRST_S, _ASK_MOST_S)
        self.n_unanswered = 0  # requests since the last chunk

    @property
    def ask_at_s(self) -> float:
        """When to ask for what is missing, on the caller's clock."""
        return self._ask_at_s

    def ask(self, now_s: float) -> BlobRequest:
        """The request to send now: at most 64 ranges of missing chunks, lowest first."""
        self._ask_at_s = now_s + self._backoff.pause_s(self._rng)
        self._backoff = self._backoff.next()
        self.n_unanswered += 1
        return BlobRequest(self.ref.key, tuple(self._chunks.missing()))

    def hurry(self, at_s: float) -> None:
        """Ask no later than this: the link or the aggregator is new."""
        self._ask_at_s = min(self._ask_at_s, at_s)
        self._backoff = Backoff(_ASK_FIRST_S, _ASK_MOST_S)

    def add(self, chunk: BlobChunk, now_s: float) -> bytes | None:
        """Take a chunk; returns the whole blob once it is complete.

        Raises:
            PayloadError: if the chunk does not belong to this blob, or if the whole has the
                wrong hash, in which case the download starts over.
        """
        self._check(chunk)
        self._chunks.add(chunk.index, chunk.data)
        self.n_unanswered = 0
        if not self._chunks.is_complete:
            self._backoff = Backoff(_ASK_FIRST_S, _ASK_MOST_S)
            self._ask_at_s = now_s + _ASK_FIRST_S  # chunks are coming: ask only when they stop
            return None
        try:
            return self._chunks.whole()
        except PayloadError:
            self._chunks = self._empty()
            self._ask_at_s = now_s + self._backoff.pause_s(self._rng)
            raise

    def _empty(self) -> Assembly:
        size = self.ref.size_bytes
        return Assembly(self.ref.sha256, n_chunks(size), max_bytes=size)

    def _check(self, chunk: BlobChunk) -> None:
        total = n_chunks(self.ref.size_bytes)
        if chunk.total != total:
            raise PayloadError(f"chunks of blob {self.ref.key}", expected=total, found=chunk.total)
        rest = self.ref.size_bytes - chunk.index * CHUNK_BYTES
        if len(chunk.data) != min(rest, CHUNK_BYTES):
            raise PayloadError(
                f"chunk {chunk.index} of blob {self.ref.key}",
                expected=f"{min(rest, CHUNK_BYTES)} bytes",
                found=len(chunk.data),
            )
