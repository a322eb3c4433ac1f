"""Gets blobs from the aggregator through a transport."""

import random
from collections.abc import Iterable

from fedge.device.downlink.download import Download
from fedge.logs import logger
from fedge.messages import CHUNK_BYTES, BlobChunk, BlobRef, Topics
from fedge.transport import Transport
from fedge.types import DeviceId

_FEW = 3  # unanswered requests before a warning

_log = logger(__name__)


class Fetcher:
    """The downloads currently wanted.

    Args:
        transport: where the requests go; one subscription for each download.
        topics: of the fleet.
        device: the one that asks.
        rng: for the pauses between requests.
    """

    def __init__(
        self, transport: Transport, topics: Topics, device: DeviceId, rng: random.Random
    ) -> None:
        self._transport, self._topics, self._device, self._rng = transport, topics, device, rng
        self._downloads: dict[str, Download] = {}  # by topic filter

    def want(self, refs: Iterable[BlobRef]) -> None:
        """Fetch these and no others; chunks of a blob still wanted are kept.

        Raises:
            PayloadError: if one is too large for a device.
        """
        wanted = {self._topics.blob(ref.key): ref for ref in refs}
        for topic_filter in [*self._downloads]:
            if self._downloads[topic_filter].ref != wanted.get(topic_filter):
                self._drop(topic_filter)
        for topic_filter, ref in wanted.items():
            if topic_filter not in self._downloads:
                self._downloads[topic_filter] = Download(ref, self._rng)
                self._transport.subscribe(topic_filter)

    def take(self, topic: str, payload: bytes, now_s: float) -> tuple[BlobRef, bytes] | None:
        """Read a chunk; returns the blob if that was its last one.

        Raises:
            PayloadError: if the topic is not that of a chunk, or the chunk is not what it says.
        """
        topic_filter = self._topics.blob(self._topics.blob_of(topic).key)
        download = self._downloads.get(topic_filter)
        if download is None:
            return None  # requested for a round that is over
        data = download.add(BlobChunk.from_bytes(payload), now_s)
        if data is None:
            return None
        self._drop(topic_filter)
        return download.ref, data

    def ask(self, now_s: float) -> bool:
        """Send one request that is due; whether there was one."""
        due = [one for one in self._downloads.values() if one.ask_at_s <= now_s]
        if not due:
            return False
        if due[0].n_unanswered == _FEW:
            self._warn_of_silence(due[0].ref)
        request = due[0].ask(now_s)
        self._transport.publish(self._topics.device_get(self._device), request.to_bytes())
        return True

    def due_at_s(self) -> float:
        """When `ask` next has something to do; infinity if nothing is wanted."""
        return min((one.ask_at_s for one in self._downloads.values()), default=float("inf"))

    def hurry(self, at_s: float) -> None:
        """Ask for everything no later than this: the link or the aggregator is new."""
        for download in self._downloads.values():
            download.hurry(at_s)

    def _warn_of_silence(self, ref: BlobRef) -> None:
        """Brokers silently drop what a user may not write or read, and what is too large."""
        _log.warning(
            "asked %d times for %s and nothing came: is the aggregator running, may this device's "
            "user write to %s and read %s, and does the broker take %d bytes? (docs/brokers.md)",
            _FEW,
            ref.key,
            self._topics.device_get(self._device),
            self._topics.blob("+"),
            min(ref.size_bytes, CHUNK_BYTES),
        )

    def _drop(self, topic_filter: str) -> None:
        del self._downloads[topic_filter]
        self._transport.unsubscribe(topic_filter)
