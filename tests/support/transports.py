"""Transports for tests: opened, read and closed."""

import random
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from fedge.transport import Connected, Disconnected, Event, Message
from fedge.transport.mqtt import MqttTransport

E = TypeVar("E", Connected, Disconnected, Message)


@contextmanager
def transport(
    url: str, client_id: str | None, *, filters: Iterable[str] = (), **options: Any
) -> Iterator[MqttTransport]:
    """A started transport with seeded pauses, closed at the end.

    The filters are subscribed to before its first Connected.
    """
    options.setdefault("rng", random.Random(7))  # noqa: S311 - jitter
    made = MqttTransport(url, client_id, **options)
    for topic_filter in filters:
        made.subscribe(topic_filter)
    made.start()
    try:
        yield made
    finally:
        made.close()


def next_event(source: MqttTransport, kind: type[E], timeout_s: float = 8.0) -> E:
    """The next event of this kind; others before it are passed over."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        event = source.receive(0.1)
        if isinstance(event, kind):
            return event
    raise AssertionError(f"no {kind.__name__} in {timeout_s} s")


def receive_payloads(source: MqttTransport, n: int, timeout_s: float = 8.0) -> list[bytes]:
    """The payloads of the next n messages, each done."""
    found = []
    for _ in range(n):
        message = next_event(source, Message, timeout_s)
        source.done(message)
        found.append(message.payload)
    return found


def events_within(source: MqttTransport, seconds: float) -> list[Event]:
    """All that comes in this time."""
    deadline = time.monotonic() + seconds
    found = []
    while (left := deadline - time.monotonic()) > 0:
        event = source.receive(left)
        if event is not None:
            found.append(event)
    return found


def eventually(holds: Callable[[], bool], timeout_s: float = 8.0) -> bool:
    """Whether it becomes true in time."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if holds():
            return True
        time.sleep(0.01)
    return False
