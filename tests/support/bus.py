"""An MQTT broker in memory, and transports that share it.

It keeps the laws of `fedge.transport.base.Transport`, retained messages, wills
and the receive maximum; nothing is delivered before `receive` is called, so a
test decides who moves when. Faults are requested by name:

    bus = Bus()
    aggregator = bus.transport("aggregator", will=(topic, b"offline"))
    bus.cut(aggregator)           # the link breaks: will, Disconnected, queues lost
    bus.join(aggregator)          # it heals: Connected, subscriptions renewed
    aggregator.kill()             # the process is gone: will, and nothing more
    bus.copies = lambda topic, payload: 0 if ... else 1     # lost; 2 = delivered twice

It may be used from several threads, one per transport.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from fedge.errors import PayloadError
from fedge.transport.base import Connected, Disconnected, Event, Message, Traffic, Undelivered

MAX_PAYLOAD_BYTES = 131_072


@dataclass(frozen=True, slots=True)
class Sent:
    """One message as it reached the bus."""

    sender: str
    topic: str
    payload: bytes
    retain: bool


class Bus:
    """What all transports of a test share.

    Attributes:
        retained: the last retained payload of each topic.
        log: every message that reached the bus, oldest first.
        copies: how often a message is delivered to each subscriber; 1 unless a test changes it.
    """

    def __init__(self, *, max_payload_bytes: int = MAX_PAYLOAD_BYTES, mqtt5: bool = True) -> None:
        self.max_payload_bytes = max_payload_bytes
        self.mqtt5 = mqtt5
        self.retained: dict[str, bytes] = {}
        self.log: list[Sent] = []
        self.copies: Callable[[str, bytes], int] = lambda _topic, _payload: 1
        self.changed = threading.Condition(threading.RLock())
        self._joined: list[BusTransport] = []

    def transport(
        self, name: str, *, will: tuple[str, bytes] | None = None, receive_maximum: int = 64
    ) -> "BusTransport":
        """A transport that joins when started."""
        return BusTransport(self, name, will, receive_maximum)

    def join(self, transport: "BusTransport") -> None:
        """The connection is up: renew the subscriptions, then send what was waiting."""
        with self.changed:
            self._joined.append(transport)
            protocol = "MQTT 5" if self.mqtt5 else "MQTT 3.1.1"
            transport.push(Connected(protocol, self.max_payload_bytes))
            for topic_filter in transport.filters:
                self.send_retained(transport, topic_filter)
            waiting, transport.waiting = transport.waiting, []
            for topic, payload, retain in waiting:
                transport.publish(topic, payload, retain=retain)

    def cut(self, transport: "BusTransport") -> None:
        """The link breaks: messages in transit to the transport are lost, its will is published."""
        with self.changed:
            self.leave(transport)
            transport.lose("the link broke")
            self._publish_will(transport)

    def leave(self, transport: "BusTransport") -> None:
        """Forget a transport."""
        self._joined = [other for other in self._joined if other is not transport]

    def restart(self, *, keep_retained: bool = False) -> None:
        """The broker is killed and restarted: everybody is cut off and joins again."""
        with self.changed:
            everybody, self._joined = self._joined, []
            if not keep_retained:
                self.retained.clear()
            for transport in everybody:
                transport.lose("the broker is gone")
            for transport in everybody:
                self.join(transport)

    def is_joined(self, transport: "BusTransport") -> bool:
        return any(other is transport for other in self._joined)

    def deliver(self, sender: str, topic: str, payload: bytes, *, retain: bool) -> bool:
        """Deliver a message to all subscribers; whether there were any."""
        with self.changed:
            self.log.append(Sent(sender, topic, payload, retain))
            if retain:
                self.retained[topic] = payload
                if not payload:
                    del self.retained[topic]
            heard = [other for other in self._joined if other.hears(topic)]
            for transport in heard:
                for _ in range(self.copies(topic, payload)):
                    transport.push_message(topic, payload, is_retained=False)
            return bool(heard)

    def send_retained(self, transport: "BusTransport", topic_filter: str) -> None:
        """Send what a new subscription gets immediately."""
        for topic, payload in self.retained.items():
            if matches(topic_filter, topic):
                transport.push_message(topic, payload, is_retained=True)

    def kill(self, transport: "BusTransport") -> None:
        """The transport's process is gone."""
        with self.changed:
            self.leave(transport)
            self._publish_will(transport)

    def _publish_will(self, transport: "BusTransport") -> None:
        if transport.will is not None:
            self.deliver(transport.name, *transport.will, retain=True)


class BusTransport:
    """One client of the bus; it keeps the laws of `Transport`."""

    def __init__(
        self, bus: Bus, name: str, will: tuple[str, bytes] | None, receive_maximum: int
    ) -> None:
        self.name, self.will = name, will
        self.filters: list[str] = []
        self.waiting: list[tuple[str, bytes, bool]] = []
        self._bus = bus
        self._receive_maximum = receive_maximum
        self._events: deque[Event] = deque()
        self._undone: set[int] = set()
        self._handles = 0
        self._traffic = Traffic()
        self._is_closed = False

    def start(self) -> None:
        self._bus.join(self)

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        if len(payload) > self._bus.max_payload_bytes:
            raise PayloadError("message", expected=self._bus.max_payload_bytes, found=len(payload))
        with self._bus.changed:
            if self._is_closed:
                raise AssertionError(f"{self.name} publishes after close")
            if not self._bus.is_joined(self):
                self.waiting.append((topic, payload, retain))
                return
            self._count(sent=len(payload))
            was_heard = self._bus.deliver(self.name, topic, payload, retain=retain)
            if not (was_heard or retain) and self._bus.mqtt5:
                self.push(Undelivered(topic, "No matching subscribers"))

    def subscribe(self, topic_filter: str) -> None:
        with self._bus.changed:
            if topic_filter not in self.filters:
                self.filters.append(topic_filter)
            if self._bus.is_joined(self):
                self._bus.send_retained(self, topic_filter)

    def unsubscribe(self, topic_filter: str) -> None:
        with self._bus.changed:
            self.filters = [known for known in self.filters if known != topic_filter]

    def receive(self, timeout_s: float) -> Event | None:
        with self._bus.changed:
            end_s = time.monotonic() + timeout_s
            while not self._is_ready():
                remaining_s = end_s - time.monotonic()
                if remaining_s <= 0:
                    return None
                self._bus.changed.wait(remaining_s)
            event = self._events.popleft()
            if isinstance(event, Message):
                self._undone.add(event.handle)
                self._count(received=len(event.payload))
            return event

    def done(self, message: Message) -> None:
        with self._bus.changed:
            self._undone.discard(message.handle)

    @contextmanager
    def batch(self) -> Iterator[None]:
        yield

    def flush(self, timeout_s: float) -> bool:
        return not self.waiting

    @property
    def traffic(self) -> Traffic:
        return self._traffic

    def close(self) -> None:
        with self._bus.changed:
            self._bus.leave(self)
            self._is_closed = True

    def kill(self) -> None:
        """The process is gone: the broker publishes the will, and nothing more is sent."""
        self._bus.kill(self)
        self._is_closed = True

    def hears(self, topic: str) -> bool:
        return any(matches(topic_filter, topic) for topic_filter in self.filters)

    def push(self, event: Event) -> None:
        """Put an event at the end of the queue."""
        self._events.append(event)
        self._bus.changed.notify_all()

    def push_message(self, topic: str, payload: bytes, *, is_retained: bool) -> None:
        self._handles += 1
        self.push(Message(topic, payload, is_retained, self._handles))

    def lose(self, reason: str) -> None:
        """The connection is gone, and everything in transit with it."""
        self._events = deque(e for e in self._events if not isinstance(e, Message))
        self._undone.clear()
        self.push(Disconnected(reason, retry_in_s=0.1))

    def _is_ready(self) -> bool:
        """Whether an event may be delivered: beyond the receive maximum, messages wait."""
        if not self._events:
            return False
        is_message = isinstance(self._events[0], Message)
        return not is_message or len(self._undone) < self._receive_maximum

    def _count(self, *, sent: int | None = None, received: int | None = None) -> None:
        before = self._traffic
        self._traffic = Traffic(
            before.sent_bytes + (sent or 0),
            before.received_bytes + (received or 0),
            before.n_sent + (sent is not None),
            before.n_received + (received is not None),
        )


def matches(topic_filter: str, topic: str) -> bool:
    """Whether an MQTT topic filter (`+` one level, `#` the rest) matches a topic."""
    wanted, levels = topic_filter.split("/"), topic.split("/")
    if wanted[-1] == "#":
        wanted, levels = wanted[:-1], levels[: len(wanted) - 1]
    return len(wanted) == len(levels) and all(
        want in ("+", level) for want, level in zip(wanted, levels, strict=True)
    )
