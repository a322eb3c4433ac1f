"""Packets from a broker, however they are cut and whatever is in them.

They are written here by the MQTT specifications (3.1.1 and 5.0, sections 2.2, 3.3 and 3.4), so what
the client has to report is known without it.
"""

import select
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Self

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.exception import MQTTException

from fedge.transport.lean import LARGEST_PACKET, LeanClient, OversizedError

V3, V5 = MQTTProtocolVersion.MQTTv311, MQTTProtocolVersion.MQTTv5
EXPIRY = b"\x05\x02\x00\x00\x0e\x10"  # five bytes of properties: a message expiry of an hour
PATIENCE = 10_000  # reads; every one of them takes at least a byte, or ends the connection


@dataclass
class Reader:
    """A client whose broker is the other end of a pair of sockets, and what it has reported."""

    version: MQTTProtocolVersion
    events: list[tuple[Any, ...]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._near, self._far = socket.socketpair()
        self._near.settimeout(0)
        self.client = LeanClient(
            CallbackAPIVersion.VERSION2, "one", protocol=self.version, manual_ack=True
        )
        self.client._sock = self._near
        self.client.on_incoming = lambda *event: self.events.append(("publish", *event))
        self.client.on_acknowledged = lambda *event: self.events.append(("puback", *event))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._near.close()
        self._far.close()

    def feed(self, data: bytes) -> MQTTErrorCode:
        """Let the broker send this, and read until nothing is left."""
        self._far.sendall(data)
        for _ in range(PATIENCE):
            if self.client._sock is None:  # the client has ended the connection
                return MQTTErrorCode.MQTT_ERR_CONN_LOST
            if not self.client.has_unread and not select.select([self._near], [], [], 0)[0]:
                return MQTTErrorCode.MQTT_ERR_SUCCESS
            code = self.client.loop_read()
            if code != MQTTErrorCode.MQTT_ERR_SUCCESS:
                return code
        raise AssertionError("the client reads for ever")


def packet(first: int, body: bytes) -> bytes:
    size, length = len(body), bytearray()
    while size > 127:
        length.append(size & 127 | 128)
        size >>= 7
    return bytes([first, *length, size]) + body


@st.composite
def packets(draw: st.DrawFn, version: MQTTProtocolVersion) -> tuple[bytes, tuple[Any, ...] | None]:
    """A packet, and what is to be reported of it."""
    mid = draw(st.integers(1, 65_535))
    name = mid.to_bytes(2, "big")
    kind = draw(st.sampled_from(["publish", "publish", "puback", "pingresp"]))
    if kind == "pingresp":
        return packet(0xD0, b""), None
    if kind == "puback":
        reason = draw(st.sampled_from([0, 0x10, 0x87])) if version == V5 else 0
        long = b"" if not reason else bytes([reason]) + draw(st.sampled_from([b"", b"\0"]))
        return packet(0x40, name + long), ("puback", mid, reason)
    topic = draw(st.text("abc/é", min_size=1, max_size=9)).encode()
    payload = draw(st.binary(max_size=40)) * draw(st.sampled_from([0, 1, 7, 900]))
    qos, retain = draw(st.integers(0, 1)), draw(st.booleans())
    properties = draw(st.sampled_from([b"\0", EXPIRY])) if version == V5 else b""
    body = len(topic).to_bytes(2, "big") + topic + name * qos + properties + payload
    event = ("publish", topic, payload, mid * qos, qos, retain)
    return packet(0x30 | qos << 1 | retain, body), event


def cut(data: bytes, places: list[float]) -> list[bytes]:
    ends = sorted({round(place * len(data)) for place in places} | {0, len(data)})
    return [data[start:end] for start, end in pairwise(ends)]


places = st.lists(st.floats(0, 1), max_size=6)


@pytest.mark.parametrize("version", [V3, V5])
@given(data=st.data(), places=places)
def test_every_packet_is_reported_once_and_in_order_wherever_it_is_cut(
    version: MQTTProtocolVersion, data: st.DataObject, places: list[float]
) -> None:
    sent = data.draw(st.lists(packets(version), max_size=8))
    with Reader(version) as reader:
        for piece in cut(b"".join(one for one, _ in sent), places):
            assert reader.feed(piece) == MQTTErrorCode.MQTT_ERR_SUCCESS
    assert reader.events == [event for _, event in sent if event is not None]


@pytest.mark.parametrize("version", [V3, V5])
def test_a_byte_at_a_time_is_enough(version: MQTTProtocolVersion) -> None:
    body = b"\x00\x01t\x00\x07" + (b"\0" if version == V5 else b"") + bytes(300)
    with Reader(version) as reader:
        for byte in packet(0x32, body) + packet(0x40, b"\x00\x09"):
            reader.feed(bytes([byte]))
    assert reader.events == [("publish", b"t", bytes(300), 7, 1, False), ("puback", 9, 0)]


@pytest.mark.parametrize("version", [V3, V5])
@given(data=st.data(), garbage=st.binary(min_size=1, max_size=60), places=places)
@example(data=None, garbage=b"\x32\x00", places=[])  # a PUBLISH of nothing
@example(data=None, garbage=b"\x32\x02\x00\x00", places=[])  # without a topic
@example(data=None, garbage=b"\x32\x03\x00\x01t", places=[])  # without a message id
@example(data=None, garbage=b"\x32\x05\x00\x01t\x00\x00", places=[])  # message id 0
@example(data=None, garbage=b"\x32\x04\xff\xfft\x00", places=[])  # a topic beyond the packet
@example(data=None, garbage=b"\x36\x05\x00\x01t\x00\x01", places=[])  # QoS 3
@example(data=None, garbage=b"\x34\x06\x00\x01t\x00\x01\x00", places=[])  # QoS 2
@example(data=None, garbage=b"\x32\x06\x00\x01t\x00\x01\xff", places=[])  # properties cut off
@example(data=None, garbage=b"\x40\x01\x00", places=[])  # half a message id
@example(data=None, garbage=b"\x70\x02\x00\x01", places=[])  # PUBCOMP
@example(data=None, garbage=b"\x32\x80\x00", places=[])  # a length longer than it need be
@example(data=None, garbage=b"\x32\x80\x80\x80\x80\x01", places=[])  # a length of five bytes
def test_bytes_that_are_no_packets_lose_nothing_before_them_and_do_not_hang(
    version: MQTTProtocolVersion,
    data: st.DataObject | None,
    garbage: bytes,
    places: list[float],
) -> None:
    sent = [] if data is None else data.draw(st.lists(packets(version), max_size=4))
    known = [event for _, event in sent if event is not None]
    refused = (ValueError, LookupError, struct.error, MQTTException, OversizedError)
    with Reader(version) as reader, suppress(*refused):
        for piece in cut(b"".join(one for one, _ in sent) + garbage, places):
            if reader.feed(piece) != MQTTErrorCode.MQTT_ERR_SUCCESS:
                break
    assert reader.events[: len(known)] == known


@pytest.mark.parametrize("size", [LARGEST_PACKET + 1, 2**28 - 1])
def test_a_packet_that_is_too_large_is_refused_before_any_memory_is_spent(size: int) -> None:
    length = bytes([size & 127 | 128, size >> 7 & 127 | 128, size >> 14 & 127 | 128, size >> 21])
    with Reader(V5) as reader, pytest.raises(OversizedError, match=str(size)):
        reader.feed(b"\x32" + length + b"\x00\x01t")
