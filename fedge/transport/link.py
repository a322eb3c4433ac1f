"""One MQTT connection over paho, from its CONNECT to its end; never used again.

When a paho client reconnects it resends everything it holds, more than the broker may
accept at once, so every connection gets a client of its own. This module turns paho's
errors and reason codes into sentences and events.
"""

import socket
import ssl
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, WebsocketConnectionError
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from fedge.logs import logger
from fedge.transport.base import Connected, Event, Message, Undelivered
from fedge.transport.certificate import validity
from fedge.transport.client import LinkOptions, Version, connect, new_client
from fedge.transport.lean import LARGEST_PACKET, OversizedError
from fedge.transport.probe import refuses_mqtt5
from fedge.transport.progress import Progress
from fedge.transport.url import BrokerUrl

OVERHEAD = 1024  # of a packet, at most: topic, header, properties
_OLD_WINDOW = 12  # messages on the wire at once, for a broker that cannot say how many it accepts
_MAX_IN_FLIGHT = (
    12 * 65_536
)  # bytes of them: a window sized for small messages is too large for large ones
_PACKETS = 256  # to read in one go, before it is the turn of messages to send
_ANSWER_S = 10.0  # of silence, while we wait for the answer to our CONNECT or SUBSCRIBE
_DOUBT_S = 0.5  # without an answer, until we ask whether MQTT 5 is the reason
_PATIENCE = 1.9  # keepalives of silence until the broker is given up
_TIME = "%Y-%m-%d %H:%M"
_OUT_OF_TIME = (9, 10)  # OpenSSL's X509_V_ERR_CERT_NOT_YET_VALID and _HAS_EXPIRED
# MQTT 5 reason codes
_SUCCESS, _NOBODY = 0x00, 0x10
_UNSUPPORTED_VERSION, _PACKET_TOO_LARGE, _RETAIN_NOT_SUPPORTED = 0x84, 0x95, 0x9A
_RIGHTS = "docs/brokers.md lists the rights that fedge needs"
_MAY_NOT_READ = f"allow this user to read there; {_RIGHTS}"
_REMEDIES = {
    0x87: f"allow this user to write there; {_RIGHTS}",
    _PACKET_TOO_LARGE: "allow the broker messages of 65536 bytes (mosquitto: message_size_limit)",
    0x97: "raise this user's quota at the broker",
}
_KEEPS_NOTHING = (
    "does not support retained messages, which fedge needs: they hold rounds and states "
    "(mosquitto: retain_available true)"
)

log = logger(__name__)


class Link:
    """One connection, used by one thread. Once it has ended, see `ended`, it does nothing more.

    Args:
        options: whom to connect to, and as whom.
        version: of MQTT; trying another one takes a new link.
        filters: what to subscribe to as soon as the broker answers.
        number: of this link, in the handles of its messages.
        emit: called with each event, except the end.
    """

    def __init__(
        self,
        options: LinkOptions,
        version: Version,
        *,
        filters: Iterable[str],
        number: int,
        emit: Callable[[Event], None],
    ) -> None:
        self.ended: str | None = None  # why, without a full stop
        self.is_answered = False  # the broker has accepted our CONNECT
        self.is_up = False  # and has answered our subscriptions
        self.is_deaf = False  # the caller is behind: what comes has to wait
        self.is_wrong_version = False  # the broker seems to need another one
        self.max_payload_bytes = LARGEST_PACKET - OVERHEAD
        self._options, self._version, self._number = options, version, number
        self._filters, self._emit = filters, emit
        self._window = min(_OLD_WINDOW, options.send_maximum)
        self._in_flight: dict[int, tuple[str, int]] = {}  # message id to topic, size; to the PUBACK
        self._in_flight_bytes = 0
        self._undone: dict[int, int] = {}  # message id to QoS, until we acknowledge it
        self._asked: dict[int, list[str]] = {}  # message id of a SUBSCRIBE to its filters
        self._renewal: int | None = None  # message id of the first SUBSCRIBE
        self._is_probed = False
        self._up_at: float | None = None
        self._progress, self._moved_at = Progress(), float("-inf")
        self._pinged_at = float("-inf")
        self._opened_at = self._heard_at = time.monotonic()
        self._client = new_client(options, version)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_acknowledged = self._on_acknowledged
        self._client.on_incoming = self._on_incoming

    @property
    def n_in_flight(self) -> int:
        """Messages that the broker has not acknowledged yet."""
        return len(self._in_flight)

    @property
    def stood_s(self) -> float | None:
        """How long it has been up; None if it never was."""
        return None if self._up_at is None else time.monotonic() - self._up_at

    @property
    def has_room(self) -> bool:
        """Whether another message may be sent now; not while a subscription is unanswered."""
        is_ready = self.is_up and self.ended is None and not self._asked
        has_space = self._in_flight_bytes < _MAX_IN_FLIGHT
        return is_ready and has_space and len(self._in_flight) < self._window

    @property
    def socket(self) -> Any:
        """To wait on; None after the end."""
        return self._client.socket()

    @property
    def has_unread(self) -> bool:
        """Whether `read` has bytes that no selector reports: they were read ahead or decrypted."""
        if self.ended is not None or self.socket is None:
            return False
        raw = _raw(self.socket)
        return self._client.has_unread or (isinstance(raw, ssl.SSLSocket) and raw.pending() > 0)

    @property
    def wants_write(self) -> bool:
        return self._client.want_write()

    def open(self) -> None:
        """Connect, for at most a few seconds, and send CONNECT; the answer comes later."""
        try:
            connect(self._client, self._options, self._version)
            _raw(self.socket).setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except ssl.SSLError as error:
            url = self._options.url
            self._end(f"cannot set up TLS with {url} ({_say(error)}{_about_clock(error, url)})")
        except (WebsocketConnectionError, IndexError, UnicodeError) as error:
            url = self._options.url
            self._end(f"no WebSocket at {url}; its path may be wrong ({error!s:.80})")
        except OSError as error:
            self._end(f"nobody answers at {self._options.url} ({_say(error)})")
        self._opened_at = self._heard_at = time.monotonic()

    def subscribe(self, filters: list[str]) -> None:
        """Ask for these; before the broker has answered, having them in `filters` is enough."""
        if self.is_answered and self.ended is None and filters:
            _, mid = self._client.subscribe([(one, 1) for one in filters])
            self._asked[mid or 0] = filters

    def unsubscribe(self, topic_filter: str) -> None:
        if self.is_answered and self.ended is None:
            self._client.unsubscribe(topic_filter)

    def send(self, topic: str, payload: bytes, *, retain: bool) -> None:
        """Publish with QoS 1; only while there is room."""
        mid = self._client.send(topic, payload, retain=retain)
        self._in_flight[mid] = topic, len(payload)
        self._in_flight_bytes += len(payload)

    def acknowledge(self, handles: Sequence[int]) -> None:
        """Tell the broker that these were handled; those of an earlier link are ignored."""
        if self.ended is not None:
            return
        mids = []
        for number, mid in (divmod(handle, 1 << 16) for handle in handles):
            if number == self._number and mid in self._undone:
                if self._undone.pop(mid) == 1:
                    mids.append(mid)
                else:
                    self._client.ack(mid, 2)
        if mids:
            self._client.acknowledge(mids)

    def read(self) -> None:
        """Read what has arrived; if it is a lot, only a part of it, see `has_unread`."""
        self._heard_at = time.monotonic()
        for _ in range(_PACKETS):
            self._try(self._client.loop_read)
            if not self.has_unread:
                break

    def write(self) -> None:
        """Write what waits to go out, as much as the network accepts."""
        if self.ended is None and self.wants_write:
            self._try(self._client.loop_write)

    def tick(self) -> None:
        """Ping when it is time, and give up a broker that has been silent too long.

        While we do not read, its silence proves nothing; we keep pinging so that it keeps us.
        While it accepts what we send it is alive, and a ping and its answer would only queue.
        Until we are up we do not ping: the answers would hide that a SUBACK has been lost.
        """
        now = time.monotonic()
        if self._progress.look(_raw(self.socket)):
            self._moved_at = self._heard_at = now
        if self.is_deaf:
            self._heard_at = now
            if now - self._pinged_at > self._options.keepalive_s / 2:
                self._pinged_at = now
                self._client.ping()
        elif self.is_up and now - self._moved_at > self._options.keepalive_s:
            self._try(self._client.loop_misc)
        if now - self._heard_at > _PATIENCE * self._options.keepalive_s:
            self._end(f"{self._options.url} no longer answers")
        if not self.is_up and self.ended is None:
            since = self._heard_at if self.is_answered else self._opened_at
            self._wait_for_answer(now - since)

    def goodbye(self) -> None:
        """Send DISCONNECT and wait, at most a second, until the broker has read it.

        We keep our descriptor until the broker closes its side: closing it with unread
        bytes would reset the connection, and the broker would publish the will.
        """
        if self.socket is None or not self.is_answered:
            return self._end("closed")
        kept = socket.fromfd(self.socket.fileno(), socket.AF_INET, socket.SOCK_STREAM)
        with kept:
            kept.settimeout(1.0)
            self._client.disconnect()
            deadline = time.monotonic() + 1.0
            while self.socket is not None and time.monotonic() < deadline:
                self._try(self._client.loop_write)
                time.sleep(0.001)  # only while the network accepts no more
            _drain(kept, deadline)
        return self._end("closed")

    def close(self) -> None:
        """Drop the connection without DISCONNECT."""
        if self.socket is not None:
            self.socket.close()

    def _wait_for_answer(self, waited_s: float) -> None:
        url = self._options.url
        if waited_s > _ANSWER_S:
            taken = "subscriptions" if self.is_answered else "connections"
            self.is_wrong_version = self._is_in_doubt  # over a WebSocket we cannot probe
            self._end(f"{url} accepts {taken} but does not answer")
        elif self._is_in_doubt and url.path is None and waited_s > _DOUBT_S:
            self._is_probed = True
            if refuses_mqtt5(self._options):
                self.is_wrong_version = True
                self._end(f"{url} does not support MQTT 5")

    @property
    def _is_in_doubt(self) -> bool:
        return self._version == "5" and not self.is_answered and not self._is_probed

    def _try(self, step: Callable[[], object]) -> None:
        """One step of paho; if hostile bytes break it, that ends the link, not the thread."""
        try:
            step()
        except MemoryError:
            raise
        except OversizedError as error:
            most = f"fedge reads at most {LARGEST_PACKET}"
            self._end(f"{self._options.url} sent a packet of {error} bytes; {most}")
        except Exception as error:
            log.debug("the link to %s broke", self._options.url, exc_info=True)
            self._end(f"{self._options.url} sent something that is not MQTT ({error!r:.80})")

    def _end(self, why: str) -> None:
        if self.ended is None:
            self.ended = why

    def _on_connect(
        self,
        _c: Client,
        _u: Any,
        _f: ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        takes_retained = getattr(properties, "RetainAvailable", 1)
        if reason.value == _RETAIN_NOT_SUPPORTED or not takes_retained:
            return self._end(f"{self._options.url} {_KEEPS_NOTHING}")
        if reason.is_failure:
            self.is_wrong_version = reason.value == _UNSUPPORTED_VERSION
            return self._end(f"{self._options.url} refuses us ({str(reason).lower()})")
        self.is_answered = True
        if self._version == "5":  # no number in the answer means no limit
            most = self._options.send_maximum
            self._window = min(most, getattr(properties, "ReceiveMaximum", most))
        largest = min(LARGEST_PACKET, getattr(properties, "MaximumPacketSize", LARGEST_PACKET))
        self.max_payload_bytes = max(0, largest - OVERHEAD)
        self.subscribe(list(self._filters))
        self._renewal = next(iter(self._asked), None)
        return None if self._asked else self._come_up()

    def _come_up(self) -> None:
        self.is_up, self._up_at = True, time.monotonic()
        self._emit(Connected(f"MQTT {self._version}", self.max_payload_bytes))

    def _on_subscribe(
        self, _c: Client, _u: Any, mid: int, reasons: list[ReasonCode], _p: Properties
    ) -> None:
        for topic_filter, reason in zip(self._asked.pop(mid, []), reasons, strict=False):
            if reason.is_failure:
                why = f"not subscribed: {str(reason).lower()}; {_MAY_NOT_READ}"
                self._emit(Undelivered(topic_filter, why, is_refusal=True))
        if mid == self._renewal and not self.is_up:
            self._come_up()

    def _on_acknowledged(self, mid: int, code: int) -> None:
        topic, size = self._in_flight.pop(mid, (None, 0))
        self._in_flight_bytes -= size
        if code == _SUCCESS or topic is None:
            return
        if code == _NOBODY:
            self._emit(Undelivered(topic, "nobody subscribes to it"))
        elif (reason := _reason_of(code)).is_failure:
            remedy = _REMEDIES.get(code, "the broker's log may say why")
            why = f"refused: {str(reason).lower()}; {remedy}"
            self._emit(Undelivered(topic, why, is_refusal=True))

    def _on_incoming(self, name: bytes, payload: bytes, mid: int, qos: int, retain: bool) -> None:  # noqa: FBT001 - once a message
        try:
            topic = name.decode()
        except UnicodeDecodeError:
            log.warning("dropped a message whose topic is not UTF-8")
            self._client.ack(mid, qos)
            return
        if qos > 0:
            self._undone[mid] = qos
        self._emit(Message(topic, payload, retain, (self._number << 16) + mid))

    def _on_disconnect(
        self, _c: Client, _u: Any, flags: DisconnectFlags, reason: ReasonCode, _p: Properties | None
    ) -> None:
        url = self._options.url
        if self.ended is not None:
            return
        if flags.is_disconnect_packet_from_server:
            self._end(f"{url} ended the connection ({str(reason).lower()})")
        elif self.is_answered:
            self._end(f"the connection to {url} is lost ({str(reason).lower()})")
        else:
            self.is_wrong_version = (
                True  # brokers before MQTT 5 may hang up on a CONNECT they cannot read
            )
            hint = "" if self._version == "5" else f"; perhaps it {_KEEPS_NOTHING}"
            self._end(f"{url} closed the connection without an answer{hint}")


def _reason_of(code: int) -> ReasonCode:
    """The reason that a PUBACK gives.

    mosquitto refuses a message beyond its `message_size_limit` with 0x95, a reason that belongs to
    other packets (OASIS MQTT 5, 3.4.2.1). paho calls that malformed and disconnects, and a client
    that resends the message would be disconnected for ever.
    """
    kind = PacketTypes.DISCONNECT if code == _PACKET_TOO_LARGE else PacketTypes.PUBACK
    return ReasonCode(kind, identifier=code)


def _raw(sock: Any) -> Any:
    """The socket itself: paho wraps a WebSocket's in an object with few of its methods."""
    return getattr(sock, "_socket", sock)


def _say(error: OSError) -> str:
    text = getattr(error, "verify_message", "") or error.strerror or str(error)
    return text[:1].lower() + text[1:]


def _about_clock(error: ssl.SSLError, url: BrokerUrl) -> str:
    """A hint for a certificate that is not valid now: some boards do not keep the time."""
    if getattr(error, "verify_code", 0) not in _OUT_OF_TIME:
        return ""
    now, found = datetime.now(UTC), validity(url)
    shown = f"; this machine's clock shows {now:{_TIME}} UTC"
    if (
        found is None or found[0] <= now <= found[1]
    ):  # then another certificate of the chain is at fault
        return f"{shown}: is it set?"
    first, last = found
    held = f"the certificate is valid from {first:{_TIME}} to {last:{_TIME}}"
    return f"{shown}, {held}: set the clock, by NTP for instance, or renew the certificate"


def _drain(sock: socket.socket, deadline: float) -> None:
    """Read until the other side closes, or the deadline."""
    try:
        while time.monotonic() < deadline and sock.recv(65_536):
            pass
    except OSError:
        pass  # a time-out or a reset: either way there is nothing more to wait for
