"""Creates and connects paho clients with the settings that fedge needs."""

import secrets
import ssl
from dataclasses import dataclass
from typing import Literal, TypeAlias

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from fedge.transport.lean import LARGEST_PACKET, LeanClient
from fedge.transport.url import BrokerUrl

_LETTERS = "0123456789abcdefghijklmnopqrstuvwxyz"
_TIMEOUT_S = 5.0  # to connect, and again for TLS

Version: TypeAlias = Literal["5", "3.1.1"]
_VERSIONS = {"5": MQTTProtocolVersion.MQTTv5, "3.1.1": MQTTProtocolVersion.MQTTv311}


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkOptions:
    """What stays the same from connection to connection."""

    url: BrokerUrl
    client_id: str
    will: tuple[str, bytes] | None  # topic and payload; retained
    receive_maximum: int
    send_maximum: int  # messages on the wire at once; a broker may ask for fewer
    keepalive_s: int
    tls: ssl.SSLContext | None


def new_client_id() -> str:
    """A client id that nobody can guess: anyone who knows it can disconnect the client.

    It has the form that every broker must accept (MQTT 3.1.1, 3.1.3.1): 1 to 23 letters and
    digits. 18 of them are random, which is 93 bits.
    """
    return "fedge" + "".join(secrets.choice(_LETTERS) for _ in range(18))


def new_client(options: LinkOptions, version: Version) -> LeanClient:
    """A client for one connection: it neither reconnects nor acknowledges by itself."""
    client = LeanClient(
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
    """Open the socket and queue CONNECT, with a clean start and no session afterwards.

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
