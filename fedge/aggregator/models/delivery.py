"""Downloads of models and artifacts: requested by many devices, published once."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fedge.messages import CHUNK_BYTES, BlobChunk, BlobRef, BlobRequest, n_chunks, slice_chunk
from fedge.storage import reading
from fedge.types import DeviceId

GATHER_S = 0.03  # requests within this time of the first are served together
_WINDOW_S = 10.0
_MAX_DEVICES = 10_000


@dataclass(frozen=True, slots=True)
class _Offer:
    ref: BlobRef
    source: Path | bytes

    @property
    def n_chunks(self) -> int:
        return n_chunks(self.ref.size_bytes)


class Delivery:
    """What devices may request now, and what they have requested."""

    def __init__(self) -> None:
        self._offers: dict[str, _Offer] = {}
        self._wanted: dict[str, set[int]] = {}
        self._due_s: float | None = None
        self._spent: dict[DeviceId, int] = {}  # chunks requested in this window
        self._window_s = float("-inf")

    def offer(self, *offers: tuple[BlobRef, Path | bytes]) -> None:
        """Serve these and nothing else from now on."""
        self._offers = {ref.key: _Offer(ref, source) for ref, source in offers}
        self._spent.clear()  # requests for an earlier model do not count against a later one
        for key in self._wanted.keys() - self._offers.keys():
            del self._wanted[key]

    def ask(self, device: DeviceId, request: BlobRequest, now_s: float) -> bool:
        """Note a request; False if there is no such blob or the device has asked too often.

        A device may request everything on offer four times in ten seconds: enough to make up
        for any loss, and not enough to keep the link busy for ever.
        """
        offer = self._offers.get(request.key)
        if offer is None:
            return False
        chunks = {
            index
            for first, last in request.ranges
            for index in range(first, min(last, offer.n_chunks - 1) + 1)
        }
        if not self._may_ask(device, len(chunks), now_s):
            return False
        self._wanted.setdefault(request.key, set()).update(chunks)
        if self._due_s is None:
            self._due_s = now_s + GATHER_S
        return True

    def due_in_s(self, now_s: float) -> float | None:
        """Seconds until something is to be published; None if nothing is."""
        return None if self._due_s is None else max(0.0, self._due_s - now_s)

    def take(self, now_s: float, most: int) -> Iterator[tuple[str, BlobChunk]]:
        """Keys and chunks to publish now, at most this many, lowest first; the rest stay due."""
        if self._due_s is None or now_s < self._due_s:
            return
        for key in list(self._wanted):
            offer, wanted = self._offers[key], self._wanted[key]
            for index in sorted(wanted)[:most]:
                most -= 1
                wanted.remove(index)
                yield key, BlobChunk(index, offer.n_chunks, _read_chunk(offer.source, index))
            if not wanted:
                del self._wanted[key]
        if not self._wanted:
            self._due_s = None

    def _may_ask(self, device: DeviceId, n: int, now_s: float) -> bool:
        if now_s - self._window_s > _WINDOW_S or len(self._spent) > _MAX_DEVICES:
            self._window_s = now_s
            self._spent.clear()
        spent = self._spent.get(device, 0) + n
        if spent > 4 * sum(offer.n_chunks for offer in self._offers.values()):
            return False
        self._spent[device] = spent
        return True


def _read_chunk(source: Path | bytes, index: int) -> bytes:
    """One chunk of an offer; a whole file may not fit in memory twice."""
    if isinstance(source, bytes):
        return slice_chunk(source, index)
    with reading(source), source.open("rb") as file:
        file.seek(index * CHUNK_BYTES)
        return file.read(CHUNK_BYTES)
