"""The transport over MQTT, as callers use it."""

import random
import ssl
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

from fedge.errors import ConfigError, PayloadError
from fedge.transport.backoff import Backoff
from fedge.transport.base import Event, Message, Traffic
from fedge.transport.client import LinkOptions, Version, new_client_id
from fedge.transport.network import Network, Outgoing
from fedge.transport.url import BrokerUrl

SEND_MAXIMUM = 100  # for an aggregator, which answers a whole fleet; `Link` also bounds bytes
_MAX_TOPIC_BYTES = 65_535


@dataclass(slots=True)
class _Batch:
    """What waits for the end of a `batch`: messages to send, handles of handled ones."""

    messages: list[Outgoing] = field(default_factory=list)
    handles: list[int] = field(default_factory=list)


class MqttTransport:
    """`Transport` over MQTT 5, or over 3.1.1 if the broker does not support 5.

    It starts clean and keeps no session: a caller who needs a message delivered sends it
    again. When a link ends, what the broker has not acknowledged is dropped; what is
    published without a link is dropped when the next attempt to connect fails.

    Args:
        url: `mqtt://[user:password@]host[:port]`, `mqtts://`, or for WebSocket `ws://` or
            `wss://`, as text or already parsed.
        client_id: unique at the broker: a second client with that id disconnects the first one.
            None draws one that nobody can guess; it is not published anywhere.
        will: topic and payload; the broker publishes it, retained, if we vanish.
        receive_maximum: how many messages an MQTT 5 broker may send ahead of `done`.
        send_maximum: messages on the wire at once; a broker may ask for fewer, and one without
            MQTT 5 gets a dozen at most.
        version: of MQTT; "auto" tries 5, then 3.1.1.
        ca_file: certificates to trust instead of the system's.
        keepalive_s: a broker that is silent for almost twice as long is given up.
        rng: draws the pauses between attempts.

    Raises:
        ConfigError: if the URL or the certificates cannot be used.
    """

    def __init__(  # noqa: PLR0913 - a connection has that many options; all but two have defaults
        self,
        url: str | BrokerUrl,
        client_id: str | None = None,
        *,
        will: tuple[str, bytes] | None = None,
        receive_maximum: int = 64,
        send_maximum: int = 12,
        version: Literal["auto", "5", "3.1.1"] = "auto",
        ca_file: Path | None = None,
        keepalive_s: int = 30,
        rng: random.Random | None = None,
    ) -> None:
        broker = url if isinstance(url, BrokerUrl) else BrokerUrl.parse(url)
        options = LinkOptions(
            url=broker,
            client_id=new_client_id() if client_id is None else client_id,
            will=will,
            receive_maximum=receive_maximum,
            send_maximum=send_maximum,
            keepalive_s=keepalive_s,
            tls=_tls(ca_file) if broker.is_tls else None,
        )
        versions: tuple[Version, ...] = ("5", "3.1.1") if version == "auto" else (version,)
        jitter = rng or random.Random()  # noqa: S311 - pauses need no secrecy
        self._network = Network(options, versions, Backoff(jitter))
        self._n_published = 0
        self._batch: _Batch | None = None

    def start(self) -> None:
        self._network.start()

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Send with QoS 1.

        Raises:
            PayloadError: if the payload is larger than the broker said it accepts.
            ValueError: if the topic is empty, too long or has wildcards.
        """
        if not topic or "+" in topic or "#" in topic or len(topic.encode()) > _MAX_TOPIC_BYTES:
            raise ValueError(f"not a topic to publish on: {topic[:80]!r}")
        most = self._network.max_payload_bytes
        if len(payload) > most:
            what = f"message to {topic}"
            raise PayloadError(what, expected=f"at most {most} bytes", found=len(payload))
        self._n_published += 1
        if self._batch is None:
            self._network.order(partial(self._network.take, [(topic, payload, retain)], ()))
        else:
            self._batch.messages.append((topic, payload, retain))

    def subscribe(self, topic_filter: str) -> None:
        """Receive what is published there.

        Raises:
            ValueError: if the filter is empty, too long or has a wildcard inside a level.
        """
        levels = topic_filter.split("/")
        is_wild = any(len(level) > 1 and set(level) & {"+", "#"} for level in levels)
        if (
            not topic_filter
            or is_wild
            or "#" in levels[:-1]
            or len(topic_filter) > _MAX_TOPIC_BYTES
        ):
            raise ValueError(f"not a topic filter: {topic_filter[:80]!r}")
        self._hand_over()
        self._network.order(partial(self._network.subscribe, topic_filter))

    def unsubscribe(self, topic_filter: str) -> None:
        self._hand_over()
        self._network.order(partial(self._network.unsubscribe, topic_filter))

    def receive(self, timeout_s: float) -> Event | None:
        event = self._network.receive(timeout_s)
        if event is not None and self._network.lacks_memory:
            raise MemoryError("not enough memory for a connection")
        return event

    def done(self, message: Message) -> None:
        if self._batch is None:
            self._network.order(partial(self._network.take, (), [message.handle]))
        else:
            self._batch.handles.append(message.handle)

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Pass what is published or done inside to the network thread as one order, at the end."""
        if self._batch is not None:  # an inner one is part of the outer one
            yield
            return
        self._batch = _Batch()
        try:
            yield
        finally:
            self._hand_over()
            self._batch = None

    def flush(self, timeout_s: float) -> bool:
        """Wait until the broker has everything; also False until the caller knows of a loss.

        The caller knows once the event that reports the loss has been read. Until then every
        `flush` returns False, not only the first: the caller may call it several times before.
        """
        self._hand_over()
        if timeout_s > 0:
            future: Future[None] = Future()
            self._network.order(partial(self._network.flush, future))
            with suppress(TimeoutError):
                future.result(timeout_s)
        is_settled = self._network.n_settled == self._n_published  # read first, as it grows last
        return is_settled and self._network.is_whole

    @property
    def traffic(self) -> Traffic:
        return self._network.traffic

    def close(self) -> None:
        """Say goodbye and stop; `flush` first, or what is on its way may be lost."""
        self._hand_over()
        self._network.stop()

    def _hand_over(self) -> None:
        """Pass on what the batch holds so far, so that nothing later overtakes it."""
        if self._batch is not None and (self._batch.messages or self._batch.handles):
            batch, self._batch = self._batch, _Batch()
            self._network.order(partial(self._network.take, batch.messages, batch.handles))


def _tls(ca_file: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise ConfigError(f"certificates in {ca_file}: {error}") from error
