"""The network thread: it keeps one link after another alive, and never runs the caller's code.

It waits in a selector, which has no limit of 1024 descriptors.
"""

import contextlib
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, TypeAlias

from fedge.logs import logger
from fedge.transport.backoff import Backoff
from fedge.transport.base import Connected, Disconnected, Event, Message, Traffic, Undelivered
from fedge.transport.client import LinkOptions, Version
from fedge.transport.inbox import Inbox
from fedge.transport.lean import LARGEST_PACKET
from fedge.transport.link import OVERHEAD, Link

_MAX_UNASKED = 4096  # messages that may wait for the caller before those of QoS 0 are dropped
_MAX_UNREAD = 8_388_608  # bytes that may wait for the caller before we stop reading

Outgoing: TypeAlias = tuple[str, bytes, bool]  # topic, payload, whether to retain it

log = logger(__name__)


class Network:
    """Links to one broker, and the state that outlives a link.

    The caller's thread uses `start`, `order`, `receive` and `stop`. All other methods run on the
    network thread, as orders.

    Attributes:
        max_payload_bytes: the largest payload that the broker accepts, as it last said.
        n_settled: messages that the broker has or refused, or that were lost.
        n_lost: those lost with a link, or for lack of one.
        n_unsent: those too large to send.
        lacks_memory: whether the thread ended because memory ran out.
    """

    def __init__(self, options: LinkOptions, versions: Sequence[Version], backoff: Backoff) -> None:
        self.max_payload_bytes = LARGEST_PACKET - OVERHEAD
        self._inbox = Inbox()
        self._n_sent = self._sent_bytes = 0
        self._options, self._versions, self._backoff = options, list(versions), backoff
        self._orders: deque[Callable[[], None]] = deque()
        self._is_rung = False
        self._button, self._bell = socket.socketpair()  # to wake the thread
        self._button.settimeout(0)
        self._bell.settimeout(0)
        self._thread = threading.Thread(target=self._run, name="fedge mqtt", daemon=True)
        self._is_stopping = self.lacks_memory = False
        self._link: Link | None = None
        self._n_links = 0
        self._stood_s: float | None = None  # how long the last link was up; None if it never was
        self._filters: dict[str, None] = {}  # in the order they were asked for
        self._outbox: deque[Outgoing] = deque()
        self._flushes: list[Future[None]] = []
        self.n_settled = self.n_lost = self.n_unsent = 0
        # The latter two as of the event that the caller read last. A loss is reported by the
        # Connected that follows it; an earlier Connected may still be waiting to be read.
        self.n_lost_told = self.n_unsent_told = 0
        self._losses: deque[tuple[int | None, int]] = deque()  # one for each such event, in order
        self._n_taken = 0  # messages to send
        self._n_dropped = 0

    def start(self) -> None:
        try:
            self._thread.start()
        except RuntimeError as error:
            if not _is_lack_of_memory(error):
                raise
            raise MemoryError("not enough memory for a thread") from None

    def order(self, order: Callable[[], None]) -> None:
        """Have the network thread do this soon."""
        self._orders.append(order)
        if not self._is_rung:  # otherwise the thread has yet to look, and will find this one too
            self.ring()

    def ring(self) -> None:
        """Wake the network thread."""
        self._is_rung = True
        # If the bell is full, the thread wakes up anyway; if the bell is gone, so is the thread.
        with contextlib.suppress(OSError):
            self._button.send(b"!")

    def receive(self, timeout_s: float) -> Event | None:
        """The next event, or None if none came in time; some of them report losses."""
        event = self._inbox.get(timeout_s)
        match event:
            case Connected() | Undelivered():
                n_lost, self.n_unsent_told = self._losses.popleft()
                self.n_lost_told = self.n_lost_told if n_lost is None else n_lost
            case Message() if (link := self._link) is not None and link.is_deaf:
                if 2 * self._inbox.unread_bytes <= _MAX_UNREAD and not self._is_rung:
                    self.ring()
            case _:
                pass
        return event

    @property
    def is_whole(self) -> bool:
        """Whether the caller knows of everything that was lost or not sent."""
        return (self.n_lost, self.n_unsent) == (self.n_lost_told, self.n_unsent_told)

    @property
    def traffic(self) -> Traffic:
        """Bytes and messages so far."""
        return Traffic(
            sent_bytes=self._sent_bytes,
            received_bytes=self._inbox.put_bytes,
            n_sent=self._n_sent,
            n_received=self._inbox.n_put,
        )

    def stop(self) -> None:
        """Say goodbye to the broker and end the thread."""
        self._is_stopping = True
        if self._thread.is_alive():
            self.order(lambda: None)
            self._thread.join()
        self._button.close()
        self._bell.close()

    def take(self, messages: Sequence[Outgoing], handles: Sequence[int]) -> None:
        """Send these, and acknowledge those that were received."""
        self._n_taken += len(messages)
        self._outbox.extend(messages)
        if handles and self._link is not None:
            self._link.acknowledge(handles)

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

    def flush(self, future: Future[None]) -> None:
        """Set it once nothing is waiting."""
        self._flushes.append(future)

    def _run(self) -> None:
        while not self._is_stopping:
            self._stood_s = None
            try:
                why = self._connect_and_serve()
            except Exception as error:  # the thread must survive: report it and try again
                if _is_lack_of_memory(error):
                    self.lacks_memory = True
                    self._tell(Disconnected("not enough memory for a connection", 0.0))
                    break
                log.exception("the link to %s broke", self._options.url)
                why = f"the link to {self._options.url} broke ({error!r:.80})"
            self._drop()
            if not self._is_stopping:
                pause = self._backoff.next_pause_s(self._stood_s)
                self._tell(Disconnected(f"{why}; next try in {pause:.1f} s", pause))
                self._rest(pause)

    def _connect_and_serve(self) -> str:
        """Run a link and return why it ended; with "auto", try each version in turn."""
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
            log.info("%s does not support MQTT %s", self._options.url, version)
        return why

    def _serve(self, link: Link) -> None:
        """Read, write and obey orders until the link ends."""
        tick_s, sock, due_s = min(1.0, self._options.keepalive_s / 16), link.socket, 0.0
        if sock is None:
            return
        with selectors.DefaultSelector() as selector:
            selector.register(self._bell, selectors.EVENT_READ)
            while link.ended is None and not self._is_stopping:
                self._watch(selector, sock, link)
                is_behind = link.has_unread and not link.is_deaf
                patience_s = 0.0 if is_behind else tick_s if link.is_up else 0.1
                ready = {key.fileobj: events for key, events in selector.select(patience_s)}
                if self._bell in ready:
                    self._obey()
                if is_behind or ready.get(sock, 0) & selectors.EVENT_READ:
                    link.read()
                if (now_s := time.monotonic()) >= due_s or not link.is_up:
                    link.tick()
                    due_s = now_s + tick_s
                self._advance(link)
                link.write()
                self._inbox.hand_over()
        if link.ended is None:
            self._obey()
            link.goodbye()

    def _watch(self, selector: selectors.BaseSelector, sock: Any, link: Link) -> None:
        """Have the selector wait for what the link needs now, which may be nothing.

        While the caller has too much left to read, nothing more is read from the network.
        """
        most = _MAX_UNREAD // 2 if link.is_deaf else _MAX_UNREAD
        link.is_deaf = self._inbox.unread_bytes > most
        wanted = 0 if link.is_deaf else selectors.EVENT_READ
        wanted |= selectors.EVENT_WRITE if link.wants_write else 0
        if sock not in selector.get_map():
            if wanted:
                selector.register(sock, wanted)
        elif not wanted:
            selector.unregister(sock)
        elif wanted != selector.get_key(sock).events:
            selector.modify(sock, wanted)

    def _advance(self, link: Link) -> None:
        """Fill the window from the outbox; if it is empty, release those who wait for that."""
        while self._outbox and link.has_room:
            topic, payload, retain = self._outbox.popleft()
            if len(payload) > link.max_payload_bytes:
                self.n_unsent += 1
                self._emit(Undelivered(topic, "larger than the broker accepts"))
                continue
            link.send(topic, payload, retain=retain)
            self._n_sent += 1
            self._sent_bytes += len(payload)
        self._settle(len(self._outbox) + link.n_in_flight)

    def _settle(self, n_waiting: int) -> None:
        self.n_settled = self._n_taken - n_waiting
        while self._flushes and not n_waiting:
            self._flushes.pop().set_result(None)

    def _drop(self) -> None:
        """A link has ended: whatever it has not delivered is lost."""
        n_in_flight = 0 if self._link is None else self._link.n_in_flight
        self.n_lost += len(self._outbox) + n_in_flight
        self._outbox.clear()
        self._link = None
        self._settle(0)

    def _tell(self, event: Event) -> None:
        self._inbox.put(event)
        self._inbox.hand_over()

    def _rest(self, pause_s: float) -> None:
        """Pause, but keep obeying orders."""
        until = time.monotonic() + pause_s
        with selectors.DefaultSelector() as selector:
            selector.register(self._bell, selectors.EVENT_READ)
            while not self._is_stopping and (left := until - time.monotonic()) > 0:
                if selector.select(left):
                    self._obey()

    def _obey(self) -> None:
        # Silence the bell before looking: an order that arrives in between rings it again.
        with contextlib.suppress(BlockingIOError):
            self._bell.recv(4096)
        self._is_rung = False
        while self._orders:
            self._orders.popleft()()

    def _emit(self, event: Event) -> None:
        if isinstance(event, Message):
            is_unasked = not event.handle & 0xFFFF  # QoS 0 has no message id
            if is_unasked and self._inbox.n_unread > _MAX_UNASKED:
                self._n_dropped += 1
                if self._n_dropped.bit_count() == 1:
                    log.warning("dropped %d unread messages of QoS 0", self._n_dropped)
                return
        elif isinstance(event, Connected):  # a caller that has read it relies on the limit
            self.max_payload_bytes = event.max_payload_bytes
            self._losses.append((self.n_lost, self.n_unsent))
        elif isinstance(event, Undelivered):
            self._losses.append((None, self.n_unsent))
        self._inbox.put(event)


def _is_lack_of_memory(error: Exception) -> bool:
    """Python has other errors than MemoryError for a thread or a lock without memory."""
    words = ("can't allocate lock", "can't start new thread")
    return isinstance(error, MemoryError) or str(error) in words
