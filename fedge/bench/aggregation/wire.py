"""MQTT 5 for thousands of devices on one connection, at a microsecond or two per message.

A load generator that needs as much CPU as the program under test would measure itself. So packets
are built before the clock starts, many are sent with one system call, and of incoming packets only
the necessary parts are parsed. Plain mqtt:// only.

Source: OASIS, MQTT Version 5.0, 2019, chapters 2 and 3.
"""

import socket
import struct
from collections import deque
from contextlib import ExitStack, suppress

from fedge.errors import TransportError
from fedge.transport.client import new_client_id
from fedge.transport.url import BrokerUrl

_CONNECT, _CONNACK, _PUBLISH, _PUBACK, _SUBSCRIBE = 0x10, 0x20, 0x30, 0x40, 0x82
_QOS_1, _RETAIN = 0x02, 0x01
_CLEAN_START, _HAS_PASSWORD, _HAS_USERNAME = 0x02, 0x40, 0x80
_RECEIVE_MAXIMUM = 0x21  # the property of CONNACK that limits the messages in flight
_WIDTHS = {0x11: 4, 0x13: 2, 0x21: 2, 0x22: 2, 0x27: 4, 0x24: 1, 0x25: 1, 0x28: 1, 0x29: 1, 0x2A: 1}
_WINDOW = 100  # messages in flight at most, even if the broker accepts more
_TIMEOUT_S = 10.0
_KEEPALIVE = b"\xff\xff"  # seconds until a ping would be due; iotcore refuses 0


def publish_packet(topic: str, payload: bytes, *, retain: bool = False) -> bytearray:
    """A PUBLISH of QoS 1; `Connection.send` writes the message id into it."""
    name = topic.encode()
    body = struct.pack(">H", len(name)) + name + b"\0\0" + b"\0" + payload
    return bytearray(_packet(_PUBLISH | _QOS_1 | (_RETAIN if retain else 0), body))


class Connection:
    """One client that many devices share; nothing blocks once it is connected.

    Args:
        url: of the broker.
        filters: what to subscribe to.

    Attributes:
        n_in_flight: messages sent that the broker has not acknowledged.
        socket: to wait on.

    Raises:
        TransportError: if the broker cannot be reached or refuses the connection.
    """

    def __init__(self, url: BrokerUrl, filters: list[str]) -> None:
        self.n_in_flight = 0
        self._queue: deque[bytearray] = deque()
        self._mid = 0
        self._arrived, self._leaving = bytearray(), bytearray()
        with ExitStack() as stack:
            try:
                self.socket = socket.create_connection((url.host, url.port), _TIMEOUT_S)
                stack.enter_context(self.socket)
                self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.socket.sendall(_connect(url))
                self._window = self._greeted()
                if filters:
                    self.socket.sendall(_subscribe(filters))
            except OSError as error:
                raise TransportError(f"no connection to {url}: {error}") from error
            self.socket.setblocking(False)  # noqa: FBT003 - the socket's own name for it
            stack.pop_all()

    def send(self, packet: bytearray) -> None:
        """Queue it, to be sent as soon as the broker accepts more."""
        self._queue.append(packet)

    @property
    def n_waiting(self) -> int:
        """Messages that the broker does not have yet."""
        return len(self._queue) + self.n_in_flight

    def write(self) -> None:
        """Send what there is room for."""
        while self._queue and self.n_in_flight < self._window:
            packet = self._queue.popleft()
            self._mid = self._mid % 65_535 + 1
            start = _body(packet)
            place = start + 2 + int.from_bytes(packet[start : start + 2], "big")
            packet[place : place + 2] = self._mid.to_bytes(2, "big")
            self._leaving += packet
            self.n_in_flight += 1
        if self._leaving:
            with suppress(BlockingIOError):
                del self._leaving[: self.socket.send(self._leaving)]

    def read(self) -> list[tuple[str, bytes]]:
        """Topic and payload of each message that has arrived; the next `write` acknowledges them.

        Raises:
            TransportError: if the broker hangs up.
        """
        try:
            data = self.socket.recv(262_144)
        except BlockingIOError:
            return []
        if not data:
            raise TransportError("the broker closed a connection of the devices")
        self._arrived += data
        messages = []
        for kind, body in self._packets():
            if kind == _PUBACK:
                self.n_in_flight -= 1
            elif kind & 0xF0 == _PUBLISH:
                messages.append(self._message(kind, body))
        return messages

    def close(self) -> None:
        """Hang up."""
        self.socket.close()

    def _message(self, kind: int, body: memoryview) -> tuple[str, bytes]:
        length = int.from_bytes(body[:2], "big")
        topic, rest = str(body[2 : 2 + length], "ascii"), body[2 + length :]
        if kind & 0x06:
            self._leaving += b"\x40\x02" + rest[:2]
            rest = rest[2:]
        size, start = _varint(rest, 0)
        return topic, bytes(rest[start + size :])

    def _packets(self) -> list[tuple[int, memoryview]]:
        """Each complete packet that has arrived; the rest waits for more bytes."""
        data, at = bytes(self._arrived), 0
        view, found = memoryview(data), []
        while at + 2 <= len(data):
            try:
                size, start = _varint(view, at + 1)
            except IndexError:
                break
            if start + size > len(data):
                break
            found.append((data[at], view[start : start + size]))
            at = start + size
        del self._arrived[:at]
        return found

    def _greeted(self) -> int:
        """Wait for CONNACK; returns how many messages may be in flight."""
        while True:
            data = self.socket.recv(4096)
            if not data:
                raise TransportError("the broker closed a connection without an answer")
            self._arrived += data
            for kind, body in self._packets():
                if kind != _CONNACK or body[1] != 0:
                    raise TransportError(f"the broker refuses the devices (reason {body[1]:#x})")
                return min(_WINDOW, _receive_maximum(bytes(body[2:])))


def _receive_maximum(properties: bytes) -> int:
    size, at = _varint(properties, 0)
    end = at + size
    while at < end:
        name, at = properties[at], at + 1
        if name == _RECEIVE_MAXIMUM:
            return int.from_bytes(properties[at : at + 2], "big")
        if name not in _WIDTHS:  # a text; none of those that CONNACK has is a pair
            at += 2 + int.from_bytes(properties[at : at + 2], "big")
        else:
            at += _WIDTHS[name]
    return 65_535


def _connect(url: BrokerUrl) -> bytes:
    flags, tail = _CLEAN_START, _text(new_client_id())
    if url.username is not None:
        flags, tail = flags | _HAS_USERNAME, tail + _text(url.username)
    if url.password is not None:
        flags, tail = flags | _HAS_PASSWORD, tail + _text(url.password)
    return _packet(_CONNECT, _text("MQTT") + bytes([5, flags]) + _KEEPALIVE + b"\0" + tail)


def _subscribe(filters: list[str]) -> bytes:
    return _packet(_SUBSCRIBE, b"\0\x01\0" + b"".join(_text(one) + b"\x01" for one in filters))


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack(">H", len(data)) + data


def _packet(kind: int, body: bytes) -> bytes:
    size, head = len(body), bytearray([kind])
    while size > 127:
        head.append(size & 127 | 128)
        size >>= 7
    head.append(size)
    return bytes(head) + body


def _body(packet: bytearray) -> int:
    """Where the body begins, after the length."""
    return _varint(packet, 1)[1]


def _varint(data: bytes | bytearray | memoryview, at: int) -> tuple[int, int]:
    """A length of one to four bytes, and the place after it."""
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
