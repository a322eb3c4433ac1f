"""An MQTT 5 client that shows what a broker does: every property, reason and flag, unaltered."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions


def properties(packet: int, **values: object) -> Properties:
    """A packet's properties, by paho's names."""
    made = Properties(packet)  # type: ignore[no-untyped-call]
    for name, value in values.items():
        setattr(made, name, value)
    return made


def eventually(holds: Callable[[], Any], timeout_s: float = 8.0) -> bool:
    """Whether it becomes true in time."""
    deadline = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


class Probe:
    """One connection, and everything received on it.

    Attributes:
        messages: in order; with `is_manual`, none is acknowledged.
        endings: the broker's reason for each end of the connection; None if it gave none.
    """

    def __init__(self, port: int, name: str, *, is_manual: bool = False) -> None:
        self.messages: list[MQTTMessage] = []
        self.endings: list[int | None] = []
        self.session_present = False
        self.announced: dict[str, Any] = {}
        self._port = port
        self._answers: dict[tuple[str, int | None], int] = {}
        self.client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=name,
            protocol=MQTTProtocolVersion.MQTTv5,
            manual_ack=is_manual,
            reconnect_on_failure=False,
        )
        self.client.on_connect = self._on_connect
        self.client.on_message = lambda _c, _u, message: self.messages.append(message)
        self.client.on_publish = lambda _c, _u, mid, reason, _p: self._answer("pub", mid, reason)
        self.client.on_subscribe = lambda _c, _u, mid, reasons, _p: self._answer(
            "sub", mid, reasons[0]
        )
        self.client.on_disconnect = lambda _c, _u, flags, reason, _p: self.endings.append(
            reason.value if flags.is_disconnect_packet_from_server else None
        )

    def connect(
        self,
        *,
        is_clean: bool = True,
        will: tuple[str, bytes] | None = None,
        will_delay_s: int = 0,
        **options: Any,
    ) -> "Probe":
        if will:
            delay = properties(PacketTypes.WILLMESSAGE, WillDelayInterval=will_delay_s)
            self.client.will_set(*will, qos=1, retain=True, properties=delay)
        sent = properties(PacketTypes.CONNECT, **options)
        self.client.connect("127.0.0.1", self._port, 60, clean_start=is_clean, properties=sent)
        self.client.loop_start()
        assert eventually(lambda: ("con", 0) in self._answers)
        return self

    def subscribe(self, topic_filter: str, **options: Any) -> "Probe":
        _, mid = self.client.subscribe(topic_filter, options=SubscribeOptions(qos=1, **options))
        assert eventually(lambda: ("sub", mid) in self._answers)
        return self

    def publish(
        self, topic: str, payload: bytes = b"x", *, retain: bool = False, **options: object
    ) -> int | None:
        """The reason in the broker's answer; None if the connection ended without one."""
        sent = properties(PacketTypes.PUBLISH, **options)
        info = self.client.publish(topic, payload, 1, retain, sent)
        key = ("pub", info.mid)
        eventually(lambda: key in self._answers or self.endings)
        return self._answers.get(key)

    def payloads(self, n: int, timeout_s: float = 8.0) -> list[bytes]:
        """The payloads received, once there are n of them or the time is up."""
        eventually(lambda: len(self.messages) >= n, timeout_s)
        return [bytes(message.payload) for message in self.messages]

    def vanish(self) -> None:
        """End the connection without a goodbye."""
        sock = self.client.socket()
        self.client.loop_stop()
        if sock is not None:
            sock.close()

    def leave(self) -> None:
        """Say goodbye."""
        self.client.disconnect()
        self.client.loop_stop()

    def _on_connect(self, _c: Client, _u: Any, flags: Any, reason: Any, given: Any) -> None:
        self.session_present, self.announced = flags.session_present, given.json()
        self._answer("con", 0, reason)

    def _answer(self, kind: str, mid: int | None, reason: Any) -> None:
        self._answers[kind, mid] = reason.value


@contextmanager
def probing(port: int) -> Iterator[Callable[..., Probe]]:
    """Creates probes on this port, and ends them all."""
    made: list[Probe] = []

    def make(name: str, *, is_manual: bool = False) -> Probe:
        made.append(Probe(port, name, is_manual=is_manual))
        return made[-1]

    yield make
    for probe in made:
        probe.leave()
