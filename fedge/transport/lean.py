"""A paho client that needs fewer system calls, and refuses oversized packets."""

from collections.abc import Callable
from typing import Any, Literal

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.exception import MalformedPacket

# Four times the largest that fedge sends. A broker that respects the limit drops larger packets,
# so a stranger's message cannot end a connection; if one sends them anyway, we stop reading.
LARGEST_PACKET = 262_144
_READ_AHEAD = 16_384  # bytes: two dozen updates, and still little memory for a board
_JOINED = 16_384  # bytes of packets sent together; larger packets are not copied
_PUBLISH_1, _PUBACK, _PINGREQ, _DISCONNECT = 0x32, 0x40, 0xC0, 0xE0


class OversizedError(Exception):
    """A broker announced a packet of this many bytes, which is too large to read."""


class LeanClient(Client):
    """paho's client, for one connection and one thread.

    paho asks the socket for a packet's first byte, then for each byte of its length, then for the
    rest: at least three system calls. This client reads ahead and serves paho from its buffer. paho
    writes each packet with a separate system call; this client joins those that are waiting. It
    handles the most frequent packets itself, PUBACK and PUBLISH of QoS 1 without properties,
    without the objects that paho creates for them, and leaves everything else to paho.

    paho asks the socket for the whole rest of a packet at once, and Python allocates all of it
    before the first byte has arrived: 835 MB for a packet of 256. This client reads no packet
    larger than `LARGEST_PACKET`.

    Attributes:
        on_incoming: called with topic, payload, message id, QoS and whether it is retained.
        on_acknowledged: called with the message id and MQTT 5 reason code of a sent message.
    """

    on_incoming: Callable[[bytes, bytes, int, int, bool], None]
    on_acknowledged: Callable[[int, int], None]

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._ahead, self._at = b"", 0
        self._reads_ahead = self._transport == "tcp"  # a WebSocket has frames and a buffer
        self.on_message = self._on_unusual

    @property
    def has_unread(self) -> bool:
        """Whether there are bytes that no selector will report."""
        return self._at < len(self._ahead)

    def send(self, topic: str, payload: bytes, *, retain: bool) -> int:
        """Queue a PUBLISH of QoS 1 and return its message id; it is never resent."""
        mid, name = self._mid_generate(), topic.encode()
        packet = bytearray([_PUBLISH_1 | retain])
        properties = b"\0" if self._protocol == MQTTProtocolVersion.MQTTv5 else b""
        size = len(name) + 4 + len(properties) + len(payload)
        self._pack_remaining_length(packet, size)
        packet += b"".join(
            (
                *(len(name).to_bytes(2, "big"), name),
                *(mid.to_bytes(2, "big"), properties, payload),
            )
        )
        self._packet_queue(_PUBLISH_1, packet, mid, 1)
        return mid

    def acknowledge(self, mids: list[int]) -> None:
        """Queue a PUBACK for each; to paho they are one packet."""
        packets = b"".join(b"\x40\x02" + mid.to_bytes(2, "big") for mid in mids)
        self._packet_queue(_PUBACK, packets, 0, 1)

    def ping(self) -> None:
        """Let the broker know that we are here, without waiting for its answer."""
        self._send_simple_command(_PINGREQ)

    def loop_write(self) -> MQTTErrorCode:
        """Like paho's, but joins the waiting packets first."""
        if len(self._out_packet) > 1:
            self._join()
        return super().loop_write()

    def _join(self) -> None:
        """Join waiting packets into fewer ones; paho needs only DISCONNECT by itself."""
        packets = list(self._out_packet)
        self._out_packet.clear()
        joined: dict[str, Any] | None = None
        for packet in packets:
            is_small = packet["to_process"] <= _JOINED and packet["command"] != _DISCONNECT
            if not is_small:
                joined = None
                self._out_packet.append(packet)
            elif joined is None or joined["to_process"] + packet["to_process"] > _JOINED:
                rest = bytearray(memoryview(packet["packet"])[packet["pos"] :])
                joined = {**packet, "packet": rest, "pos": 0, "to_process": len(rest)}
                self._out_packet.append(joined)  # type: ignore[arg-type] # paho's own type for it
            else:
                joined["packet"] += memoryview(packet["packet"])[packet["pos"] :]
                joined["to_process"] = len(joined["packet"])

    def _packet_read(self) -> MQTTErrorCode:
        """Read a packet that has fully arrived; partial and long ones are left to paho."""
        data, at, whole = self._ahead, self._at, self._in_packet
        if whole["command"] or len(data) < at + 3:
            return super()._packet_read()
        size, start = data[at + 1], at + 2
        if size > 127:
            size, start = size - 128 + (data[start] << 7), start + 1
        end = start + size
        if len(data) < end or data[start - 1] > 127:
            return super()._packet_read()
        self._at = end
        whole["command"], whole["packet"] = data[at], bytearray(data[start:end])
        whole["remaining_length"] = size
        try:
            return self._packet_handle()
        except MalformedPacket:
            return MQTTErrorCode.MQTT_ERR_PROTOCOL
        finally:
            whole["command"], whole["packet"] = 0, bytearray()
            whole["remaining_length"] = whole["pos"] = 0

    def _sock_recv(self, bufsize: int) -> bytes:
        if bufsize > LARGEST_PACKET:
            raise OversizedError(bufsize)
        if self._at == len(self._ahead):
            if not self._reads_ahead or bufsize >= _READ_AHEAD:
                return super()._sock_recv(bufsize)
            self._ahead, self._at = super()._sock_recv(_READ_AHEAD), 0
        data = self._ahead[self._at : self._at + bufsize]
        self._at += len(data)
        return data

    def _handle_publish(self) -> MQTTErrorCode:
        """Read one of QoS 0 or 1 without properties; leave others and malformed ones to paho."""
        packet, flags = self._in_packet["packet"], self._in_packet["command"]
        qos, size = flags >> 1 & 3, int.from_bytes(packet[:2], "big")
        at = 2 + size + 2 * qos
        if qos > 1 or len(packet) < at or not size:
            return super()._handle_publish()
        mid = int.from_bytes(packet[at - 2 : at], "big") if qos else 0
        if self._protocol == MQTTProtocolVersion.MQTTv5:
            if packet[at : at + 1] != b"\0":
                return super()._handle_publish()
            at += 1
        if qos and not mid:
            return super()._handle_publish()
        payload = bytes(memoryview(packet)[at:])
        self.on_incoming(bytes(packet[2 : 2 + size]), payload, mid, qos, bool(flags & 1))
        return MQTTErrorCode.MQTT_ERR_SUCCESS

    def _on_unusual(self, _c: Client, _u: Any, message: MQTTMessage) -> None:
        topic, payload = message._topic, bytes(message.payload)  # noqa: SLF001 - as bytes
        self.on_incoming(topic, payload, message.mid, message.qos, message.retain)

    def _handle_pubackcomp(self, cmd: Literal["PUBACK", "PUBCOMP"]) -> MQTTErrorCode:
        packet = self._in_packet["packet"]
        if cmd == "PUBCOMP" or len(packet) < 2:
            return super()._handle_pubackcomp(cmd)
        reason = packet[2] if len(packet) > 2 else 0  # success may be left out
        self.on_acknowledged(int.from_bytes(packet[:2], "big"), reason)
        return MQTTErrorCode.MQTT_ERR_SUCCESS
