"""The network thread: it keeps one link after another alive, and never runs the caller's code.

It waits in a selector, which knows no limit of 1024 descriptors.
"""

import contextlib
import queue
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from fedge.logs import logger
from fedge.transport.backoff import Backoff
from fedge.transport.base import Connected, Disconnected, Event, Message, Traffic, Undelivered
from fedge.transport.client import LARGEST_PACKET, LinkOptions, Version
from fedge.transport.link import OVERHEAD, Link

_MAX_UNASKED = 4096  # QoS 0 messages that may wait for the caller; no window limits them

log = logger(__name__)


class Network:
    """Links to one broker, and what outlives a link.

    `start`, `order` and `stop` are for the caller's thread. All other methods are
    for the network thread, which runs them as orders.

    Attributes:
        events: what happened, for the caller.
        max_payload_bytes: the most that the broker takes, as it last said.
        traffic: bytes and messages so far.
        n_settled: messages to send that are with the broker, or lost.
        n_lost: those that are lost.
        lacks_memory: whether the thread has ended because there was none left.
    """

    def __init__(self, options: LinkOptions, versions: Sequence[Version], backoff: Backoff) -> None:
        self.events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self.max_payload_bytes = LARGEST_PACKET - OVERHEAD
        self.traffic = Traffic()
        self._options, self._versions, self._backoff = options, list(versions), backoff
        self._orders: deque[Callable[[], None]] = deque()
        self._button, self._bell = socket.socketpair()  # to wake the thread
        self._button.settimeout(0)
        self._bell.settimeout(0)
        self._thread = threading.Thread(target=self._run, name="fedge mqtt", daemon=True)
        self._is_stopping = self.lacks_memory = False
        self._link: Link | None = None
        self._n_links = 0
        self._stood_s: float | None = None  # the last one; None if it did not come up
        self._filters: dict[str, None] = {}  # in the order they were asked for
        self._outbox: deque[tuple[str, bytes, bool]] = deque()
        self._flushes: list[Future[None]] = []
        self.n_settled = self.n_lost = 0
        self._n_taken = 0  # messages to send
        self._n_dropped = 0

    def start(self) -> None:
        try:
            self._thread.start()
        except RuntimeError as error:
            if not _is_lack_of_memory(error):
                raise
            raise MemoryError("no room for a thread") from None

    def order(self, order: Callable[[], None]) -> None:
        """Have the network thread do this soon."""
        self._orders.append(order)
        # If the bell is full the thread wakes anyway; if it is gone so is the thread.
        with contextlib.suppress(OSError):
            self._button.send(b"!")

    def stop(self) -> None:
        """Say goodbye to the broker and end the thread."""
        self._is_stopping = True
        if self._thread.is_alive():
            self.order(lambda: None)
            self._thread.join()
        self._button.close()
        self._bell.close()

    def send(self, topic: str, payload: bytes, retain: bool) -> None:  # noqa: FBT001 - an order's
        self._n_taken += 1
        self._outbox.append((topic, payload, retain))

    def subscribe(self, topic_filter: str) -> None:
        if topic_filter not in self._filters:
            self._filters[topic_filter] = None
            if self._link is not None:
                self._link.subscribe([topic_filter])

    def unsubscribe(self, topic_filter: str) -> None:
        if topic_filter in self._filters:
            del self._filters[topic_filter]
            if self._link is not None:
                self._link.unsubscribe(topic_filter)

    def acknowledge(self, handle: int) -> None:
        if self._link is not None:
            self._link.acknowledge(handle)

    def flush(self, future: Future[None]) -> None:
        """Set it when nothing waits any more."""
        self._flushes.append(future)

    def _run(self) -> None:
        while not self._is_stopping:
            self._stood_s = None
            try:
                why = self._connect_and_serve()
            except Exception as error:  # the thread must live: report it and try again
                if _is_lack_of_memory(error):
                    self.lacks_memory = True
                    self.events.put(Disconnected("no memory for a connection", 0.0))
                    break
                log.exception("the link to %s broke", self._options.url)
                why = f"the link to {self._options.url} broke ({error!r:.80})"
            self._drop()
            if not self._is_stopping:
                pause = self._backoff.next_pause_s(self._stood_s)
                self.events.put(Disconnected(f"{why}; next try in {pause:.1f} s", pause))
                self._rest(pause)

    def _connect_and_serve(self) -> str:
        """A link from its beginning to its end, and why it ended; in auto each version in turn."""
        why = ""
        for version in list(self._versions):
            self._n_links += 1
            number, filters = self._n_links, self._filters
            link = Link(self._options, version, filters=filters, number=number, emit=self._emit)
            self._link = link
            try:
                link.open()
                self._serve(link)
            finally:
                link.close()
            why = link.ended or ""
            self._stood_s = link.stood_s
            if not link.is_wrong_version:
                self._versions.sort(key=lambda one: one != version)
                break
            log.info("%s does not take MQTT %s", self._options.url, version)
        return why

    def _serve(self, link: Link) -> None:
        """Do what is to be done until the link ends."""
        tick_s, sock = min(1.0, self._options.keepalive_s / 16), link.socket
        if sock is None:
            return
        with selectors.DefaultSelector() as selector:
            selector.register(self._bell, selectors.EVENT_READ)
            selector.register(sock, selectors.EVENT_READ)
            while link.ended is None and not self._is_stopping:
                mask = selectors.EVENT_READ | (selectors.EVENT_WRITE if link.wants_write else 0)
                if mask != selector.get_key(sock).events:
                    selector.modify(sock, mask)
                patience_s = tick_s if link.is_up else 0.1
                ready = {key.fileobj: events for key, events in selector.select(patience_s)}
                if self._bell in ready:
                    self._obey()
                _transfer(link, ready.get(sock, 0))
                link.tick()
                self._advance(link)
        if link.ended is None:
            self._obey()
            link.goodbye()

    def _advance(self, link: Link) -> None:
        """Fill the window from the outbox; answer those who wait for it to be empty."""
        while self._outbox and link.has_room:
            topic, payload, retain = self._outbox.popleft()
            if len(payload) > link.max_payload_bytes:
                self.events.put(Undelivered(topic, "larger than the broker takes"))
                continue
            link.send(topic, payload, retain=retain)
            self._count(sent=len(payload))
        self._settle(len(self._outbox) + link.n_in_flight)

    def _settle(self, n_waiting: int) -> None:
        self.n_settled = self._n_taken - n_waiting
        while self._flushes and not n_waiting:
            self._flushes.pop().set_result(None)

    def _drop(self) -> None:
        """After the end of a link: what was not delivered is lost."""
        n_in_flight = 0 if self._link is None else self._link.n_in_flight
        self.n_lost += len(self._outbox) + n_in_flight
        self._outbox.clear()
        self._link = None
        self._settle(0)

    def _rest(self, pause_s: float) -> None:
        """Wait, and obey orders meanwhile."""
        until = time.monotonic() + pause_s
        with selectors.DefaultSelector() as selector:
            selector.register(self._bell, selectors.EVENT_READ)
            while not self._is_stopping and (left := until - time.monotonic()) > 0:
                if selector.select(left):
                    self._obey()

    def _obey(self) -> None:
        # Silence the bell before looking: an order that comes in between rings it again.
        with contextlib.suppress(BlockingIOError):
            while self._bell.recv(4096):
                pass
        while self._orders:
            self._orders.popleft()()

    def _emit(self, event: Event) -> None:
        if isinstance(event, Message):
            is_unasked = not event.handle & 0xFFFF  # QoS 0 has no message id
            if is_unasked and self.events.qsize() > _MAX_UNASKED:
                self._n_dropped += 1
                if self._n_dropped.bit_count() == 1:
                    log.warning("%d messages of QoS 0 were dropped, unread", self._n_dropped)
                return
            self._count(received=len(event.payload))
        if isinstance(event, Connected):  # who has read it knows the limit, so it must hold
            self.max_payload_bytes = event.max_payload_bytes
        self.events.put(event)

    def _count(self, *, sent: int | None = None, received: int | None = None) -> None:
        """One message more, sent or received, of this many payload bytes."""
        old = self.traffic
        self.traffic = Traffic(
            sent_bytes=old.sent_bytes + (sent or 0),
            received_bytes=old.received_bytes + (received or 0),
            n_sent=old.n_sent + (sent is not None),
            n_received=old.n_received + (received is not None),
        )


def _is_lack_of_memory(error: Exception) -> bool:
    """Also a thread or a lock for which there is no room, of which Python says this."""
    words = ("can't allocate lock", "can't start new thread")
    return isinstance(error, MemoryError) or str(error) in words


def _transfer(link: Link, ready: int) -> None:
    if ready & selectors.EVENT_READ:
        link.read()
    if ready & selectors.EVENT_WRITE and link.ended is None:
        link.write()
