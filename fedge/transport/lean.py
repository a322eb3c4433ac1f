"""A paho client with two holes closed, that takes and gives many packets with one system call."""

from collections.abc import Callable
from typing import Any, Literal

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

# Four times the largest that fedge sends. A broker that heeds it drops what is larger, so that a
# stranger's message ends no connection; one that sends it all the same is not read any further.
LARGEST_PACKET = 262_144
PACKET_TOO_LARGE = 0x95
_READ_AHEAD = 16_384  # bytes: two dozen updates, and no more memory than a board has to spare
_JOINED = 16_384  # bytes of packets that leave together; what is larger is not copied
_PUBACK, _PINGREQ, _DISCONNECT = 0x40, 0xC0, 0xE0
_SUCCESS = ReasonCode(PacketTypes.PUBACK)
_NOTHING = Properties(PacketTypes.PUBACK)  # type: ignore[no-untyped-call] # paho


class OversizedError(Exception):
    """A broker has announced a packet of so many bytes, for which no room was made."""


class LeanClient(Client):
    """paho's client, for one connection and one thread.

    paho asks the socket for a packet's first byte, then for each byte of its length, then for the
    rest: three system calls or more. This one reads ahead, and serves paho from what it has. paho
    writes each packet with a system call of its own; this one joins those that wait. What comes
    most, a PUBLISH without properties and a PUBACK that says nothing special, is read here, without
    the objects that paho makes of them. All else is paho's.

    paho asks the socket for the whole rest of a packet at once, and Python makes room for all of it
    before the first byte is there: 835 MB for one of 256. This one reads no packet larger than
    `LARGEST_PACKET`.

    mosquitto refuses a message beyond its `message_size_limit` with PUBACK 0x95, a reason that
    belongs to other packets (OASIS MQTT 5, 3.4.2.1). paho calls that malformed and hangs up, and
    whoever sends the message again is hung up on for ever.

    Attributes:
        on_incoming: takes topic, payload, message id, QoS and whether it is retained.
    """

    on_incoming: Callable[[bytes, bytes, int, int, bool], None]

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._ahead, self._at = b"", 0
        self._reads_ahead = self._transport == "tcp"  # a WebSocket has frames and a buffer
        self.on_message = self._on_unusual

    @property
    def has_unread(self) -> bool:
        """Whether there are bytes that no selector knows of any more."""
        return self._at < len(self._ahead)

    def acknowledge(self, mids: list[int]) -> None:
        """PUBACK for each, as one packet to paho."""
        packets = b"".join(b"\x40\x02" + mid.to_bytes(2, "big") for mid in mids)
        self._packet_queue(_PUBACK, packets, 0, 1)

    def ping(self) -> None:
        """Let the broker know that we are here; the answer is not waited for."""
        self._send_simple_command(_PINGREQ)

    def loop_write(self) -> MQTTErrorCode:
        """As paho's, with the packets that wait joined."""
        if len(self._out_packet) > 1:
            self._join()
        return super().loop_write()

    def _join(self) -> None:
        """Make few packets of those that wait: paho needs only DISCONNECT by itself."""
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
        """One of QoS 0 or 1 without properties; paho has the others, and whatever is malformed."""
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
        mid = int.from_bytes(packet[:2], "big")
        if cmd != "PUBACK" or mid not in self._out_messages:
            return super()._handle_pubackcomp(cmd)
        if len(packet) == 2:  # the reason is left out when it is success
            return self._do_on_publish(mid, _SUCCESS, _NOTHING)
        if packet[2] != PACKET_TOO_LARGE:
            return super()._handle_pubackcomp(cmd)
        reason = ReasonCode(PacketTypes.DISCONNECT, identifier=PACKET_TOO_LARGE)
        return self._do_on_publish(mid, reason, _NOTHING)
