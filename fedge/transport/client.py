"""A paho client as fedge wants it."""

import secrets
import ssl
from dataclasses import dataclass
from typing import Literal, TypeAlias

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from fedge.transport.url import BrokerUrl

# Four times the largest that fedge sends. A broker that heeds it drops what is larger, so that a
# stranger's message ends no connection; one that sends it all the same is not read any further.
LARGEST_PACKET = 262_144
PACKET_TOO_LARGE = 0x95
_LETTERS = "0123456789abcdefghijklmnopqrstuvwxyz"
_TIMEOUT_S = 5.0  # to connect, and again for TLS

Version: TypeAlias = Literal["5", "3.1.1"]
_VERSIONS = {"5": MQTTProtocolVersion.MQTTv5, "3.1.1": MQTTProtocolVersion.MQTTv311}


class OversizedError(Exception):
    """A broker has announced a packet of so many bytes; not one of them was read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkOptions:
    """What stays the same from connection to connection."""

    url: BrokerUrl
    client_id: str
    will: tuple[str, bytes] | None  # topic and payload; retained
    receive_maximum: int
    keepalive_s: int
    tls: ssl.SSLContext | None


class _Client(Client):
    """paho's, with two holes closed.

    paho asks the socket for the whole rest of a packet at once, and Python makes room for all of it
    before the first byte is there: 835 MB for one of 256. This one reads no packet larger than
    `LARGEST_PACKET`.

    mosquitto refuses a message beyond its `message_size_limit` with PUBACK 0x95, a reason that
    belongs to other packets (OASIS MQTT 5, 3.4.2.1). paho calls that malformed and hangs up, and
    whoever sends the message again is hung up on for ever.
    """

    def _sock_recv(self, bufsize: int) -> bytes:
        if bufsize > LARGEST_PACKET:
            raise OversizedError(bufsize)
        return super()._sock_recv(bufsize)

    def _handle_pubackcomp(self, cmd: Literal["PUBACK", "PUBCOMP"]) -> MQTTErrorCode:
        packet = bytes(self._in_packet["packet"])
        is_too_large = cmd == "PUBACK" and packet[2:3] == bytes([PACKET_TOO_LARGE])
        mid = int.from_bytes(packet[:2], "big")
        if not is_too_large or mid not in self._out_messages:
            return super()._handle_pubackcomp(cmd)
        reason = ReasonCode(PacketTypes.DISCONNECT, identifier=PACKET_TOO_LARGE)
        properties = Properties(PacketTypes.PUBACK)  # type: ignore[no-untyped-call] # paho
        return self._do_on_publish(mid, reason, properties)


def new_client_id() -> str:
    """An id for a client that nobody can guess: who knows it can throw the client out.

    Its form is the one that every broker must take (MQTT 3.1.1, 3.1.3.1): 1 to 23 letters
    and digits. 18 of them are drawn, 93 bits.
    """
    return "fedge" + "".join(secrets.choice(_LETTERS) for _ in range(18))


def new_client(options: LinkOptions, version: Version) -> Client:
    """A client for one connection: it neither reconnects nor acknowledges by itself."""
    client = _Client(
        CallbackAPIVersion.VERSION2,
        client_id=options.client_id,
        protocol=_VERSIONS[version],
        reconnect_on_failure=False,
        manual_ack=True,
        transport="tcp" if options.url.path is None else "websockets",
    )
    if options.url.path is not None:
        client.ws_set_options(options.url.path)
    client.connect_timeout = _TIMEOUT_S
    if options.will is not None:
        client.will_set(options.will[0], options.will[1], qos=1, retain=True)
    if options.url.username is not None:
        client.username_pw_set(options.url.username, options.url.password)
    if options.tls is not None:
        client.tls_set_context(options.tls)
    # With this set paho writes only in loop_write, never in the middle of a callback.
    client.on_socket_register_write = lambda *_: None
    return client


def connect(client: Client, options: LinkOptions, version: Version) -> MQTTErrorCode:
    """Open the socket and queue CONNECT: a clean start, and no session after the end.

    Raises:
        OSError: if nobody is there.
    """
    properties = None
    if version == "5":
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call] # paho
        properties.SessionExpiryInterval = 0
        properties.ReceiveMaximum = options.receive_maximum
        properties.MaximumPacketSize = LARGEST_PACKET
    url = options.url
    return client.connect(url.host, url.port, options.keepalive_s, properties=properties)
