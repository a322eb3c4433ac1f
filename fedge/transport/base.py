"""What carries messages: one method to send, one queue of events to read."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, TypeAlias


@dataclass(frozen=True, slots=True)
class Connected:
    """The broker answered, and every subscription asked for so far has been renewed.

    Whatever was in transit before is lost: send it again if it must be delivered.
    """

    protocol: str  # "MQTT 5" or "MQTT 3.1.1"
    max_payload_bytes: int  # the most this broker accepts in one message


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The connection is gone; the transport keeps trying, with growing and jittered pauses."""

    reason: str  # one sentence: what happened, and when the next attempt is
    retry_in_s: float


@dataclass(frozen=True, slots=True)
class Message:
    """Somebody published this. Pass it to `Transport.done` once it has been handled."""

    topic: str
    payload: bytes
    is_retained: bool
    handle: int  # identifies the message for `done`


@dataclass(frozen=True, slots=True)
class Undelivered:
    """A message that the broker refused or that nobody subscribes to, or a refused subscription.

    Only MQTT 5 brokers report that about messages; silence proves nothing.
    """

    topic: str
    reason: str  # without a full stop; for a refusal, with a remedy
    is_refusal: bool = False  # rather than nobody listening right now


# What `Transport.receive` gives.
Event: TypeAlias = Connected | Disconnected | Message | Undelivered


@dataclass(frozen=True, slots=True)
class Traffic:
    """Bytes of MQTT payloads so far, counted where they enter and leave the client."""

    sent_bytes: int = 0  # handed to the network, repeats included
    received_bytes: int = 0
    n_sent: int = 0
    n_received: int = 0


class Transport(Protocol):
    """A self-healing connection to a broker.

    Laws: no method blocks on the network; events come in order, from one queue;
    `publish` works at any time, and what cannot be delivered before the next
    disconnect is lost; a topic subscribed once stays subscribed through
    reconnects until `unsubscribe`; no message overtakes a subscription that was
    asked for before it. Methods may be called from one thread only.
    """

    def start(self) -> None:
        """Start connecting. Only `subscribe` may be called before, to take effect by Connected."""
        ...

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Send with QoS 1. A limited number are on the wire at once; the rest wait."""
        ...

    def subscribe(self, topic_filter: str) -> None:
        """Receive what is published on these topics, and what the broker retains of them."""
        ...

    def unsubscribe(self, topic_filter: str) -> None:
        """Stop receiving what is published there."""
        ...

    def receive(self, timeout_s: float) -> Event | None:
        """The next event, or None if none comes in time; 0 does not wait.

        Raises:
            MemoryError: if there is too little memory for the connection; it will not come back.
        """
        ...

    def done(self, message: Message) -> None:
        """The message has been handled: the broker may send another one."""
        ...

    def batch(self) -> AbstractContextManager[None]:
        """Collect what is published and done inside, and hand it over together at the end.

        This saves much of the cost of a message and changes nothing else: what was collected is
        handed over even when an exception ends the block, and nothing overtakes anything.
        """
        ...

    def flush(self, timeout_s: float) -> bool:
        """Wait until the broker has everything published; return whether it has. 0 does not wait.

        It also has what it refused, which an Undelivered reports. A message that was lost on the
        way, or never sent, makes this False until the caller has read the event that reports it:
        the first Connected after the loss, or the Undelivered of one that was too large.
        """
        ...

    @property
    def traffic(self) -> Traffic:
        """What has passed so far."""
        ...

    def close(self) -> None:
        """Say goodbye to the broker, so that it does not publish the will, and stop."""
        ...
