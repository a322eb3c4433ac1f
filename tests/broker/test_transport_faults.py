"""The transport when brokers die, freeze, vanish or lie."""

import contextlib
import itertools
import logging
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from fedge.transport import Connected, Disconnected, Message, Undelivered
from fedge.transport.lean import LARGEST_PACKET
from fedge.transport.mqtt import MqttTransport
from tests.support.broker import Broker
from tests.support.configured import configured
from tests.support.slow_link import slow_link
from tests.support.tools import missing
from tests.support.transports import next_event, receive_payloads, transport

pytestmark = pytest.mark.broker

_MORTAL = """
import sys, time
from fedge.transport.mqtt import MqttTransport
one = MqttTransport(sys.argv[1], "mortal", will=("state", b"dead"))
one.start()
one.publish("state", b"alive", retain=True)
one.flush(8.0)
print("up", flush=True)
time.sleep(60)
"""


def test_a_killed_broker_is_found_again_and_subscriptions_are_renewed(any_broker: Broker) -> None:
    with transport(any_broker.url, "one") as one:
        one.subscribe("a")
        one.subscribe("b/#")
        one.subscribe("c")
        one.unsubscribe("c")
        next_event(one, Connected)
        any_broker.kill()
        reason = next_event(one, Disconnected).reason
        assert reason.startswith(f"the connection to {any_broker.url} is lost")
        any_broker.restart()
        next_event(one, Connected)
        one.publish("c", b"not mine")
        one.publish("b/x", b"1")
        one.publish("a", b"2")
        assert receive_payloads(one, 2) == [b"1", b"2"]


def test_what_a_killed_broker_had_not_taken_is_lost_and_flush_says_so(any_broker: Broker) -> None:
    with transport(any_broker.url, "one") as one:
        one.subscribe("a")
        next_event(one, Connected)
        any_broker.freeze()
        one.publish("a", b"lost")
        assert not one.flush(0.1)
        any_broker.thaw()
        any_broker.kill()
        next_event(one, Disconnected)
        one.publish("a", b"lost as well, at the next failed try")
        next_event(one, Disconnected)
        any_broker.restart()
        next_event(one, Connected)
        one.flush(5.0)
        one.publish("a", b"arrives")
        assert receive_payloads(one, 1) == [b"arrives"]
        assert one.flush(5.0)


def test_flush_without_time_tells_at_once_whether_anything_is_under_way(any_broker: Broker) -> None:
    with transport(any_broker.url, "one") as one:
        next_event(one, Connected)
        assert one.flush(0)
        any_broker.freeze()
        one.publish("a", b"1")
        assert not one.flush(0)
        any_broker.thaw()
        assert one.flush(5.0)
        assert one.flush(0)
        one.publish("a", b"2")
        any_broker.kill()
        next_event(one, Disconnected)
        one.publish("a", b"3")
        assert not one.flush(0)
        any_broker.restart()
        next_event(one, Connected)
        one.publish("a", b"4")
        assert one.flush(5.0)
        assert one.flush(0)


def test_a_message_of_an_earlier_link_can_still_be_done(any_broker: Broker) -> None:
    with transport(any_broker.url, "one", receive_maximum=1) as one:
        one.subscribe("a")
        one.publish("a", b"1")
        old = next_event(one, Message)
        any_broker.kill()
        any_broker.restart()
        next_event(one, Connected)
        one.done(old)
        one.publish("a", b"2")
        assert receive_payloads(one, 1) == [b"2"]


def test_the_will_of_a_killed_process_is_published_and_kept(any_broker: Broker) -> None:
    with transport(any_broker.url, "watcher", filters=["state"]) as watcher:
        next_event(watcher, Connected)
        command = [sys.executable, "-c", _MORTAL, any_broker.url]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as mortal:
            assert mortal.stdout is not None
            assert mortal.stdout.readline() == b"up\n"
            mortal.kill()
        assert receive_payloads(watcher, 2) == [b"alive", b"dead"]
    with transport(any_broker.url, "late") as late:
        late.subscribe("state")
        message = next_event(late, Message)
        assert (message.payload, message.is_retained) == (b"dead", True)


def test_a_frozen_broker_is_noticed_within_twice_the_keepalive(any_broker: Broker) -> None:
    with transport(any_broker.url, "one", keepalive_s=1) as one:
        next_event(one, Connected)
        any_broker.freeze()
        began = time.monotonic()
        reason = next_event(one, Disconnected).reason
        waited = time.monotonic() - began
        assert 0.9 < waited < 2.1
        assert "no longer answers" in reason or "keep alive timeout" in reason
        any_broker.thaw()
        next_event(one, Connected)


def test_a_quiet_connection_is_kept_alive(any_broker: Broker) -> None:
    with transport(any_broker.url, "one", keepalive_s=1) as one:
        next_event(one, Connected)
        assert one.receive(3.0) is None


def test_a_broker_that_is_not_there_is_waited_for_with_growing_pauses() -> None:
    with socket.socket() as held:  # bound and not listening: nobody else can answer there
        held.bind(("127.0.0.1", 0))
        url = f"mqtt://127.0.0.1:{held.getsockname()[1]}"
        with transport(url, "one", rng=random.Random(3)) as one:  # noqa: S311 - jitter
            tries = [next_event(one, Disconnected) for _ in range(6)]
    for number, event in enumerate(tries):
        assert 0 <= event.retry_in_s <= 0.1 * 2**number
        assert event.reason == (
            f"nobody answers at {url} (connection refused); next try in {event.retry_in_s:.1f} s"
        )
    assert len({event.retry_in_s for event in tries}) == 6
    assert max(event.retry_in_s for event in tries[3:]) > tries[0].retry_in_s


def test_a_host_without_a_name_is_waited_for() -> None:
    with transport("mqtt://no-such-host.invalid", "one") as one:
        reason = next_event(one, Disconnected, 15.0).reason
    assert reason.startswith("nobody answers at mqtt://no-such-host.invalid:1883 (")


def test_close_does_not_wait_for_the_next_try() -> None:
    class Longest(random.Random):
        def uniform(self, a: float, b: float) -> float:
            return 30.0

    with transport("mqtt://127.0.0.1:1", "one", rng=Longest()) as one:
        next_event(one, Disconnected)
        began = time.monotonic()
    assert time.monotonic() - began < 1.0


def test_a_second_client_of_the_same_name_throws_the_first_one_out(any_broker: Broker) -> None:
    with transport(any_broker.url, "one") as first:
        next_event(first, Connected)
        with transport(any_broker.url, "one") as second:
            next_event(second, Connected)
            next_event(first, Disconnected)


def test_a_loss_is_a_loss_however_often_flush_is_asked_before_the_event_is_read(
    any_broker: Broker,
) -> None:
    with transport(any_broker.url, "one") as one:
        next_event(one, Connected)
        any_broker.freeze()
        one.publish("a", b"lost")
        any_broker.kill()
        end_s = time.monotonic() + 1.0
        while time.monotonic() < end_s:  # the network thread drops it in this time
            assert not one.flush(0)
        next_event(one, Disconnected)
        assert not one.flush(0)
        any_broker.restart()
        next_event(one, Connected)
        assert one.flush(0)


def test_a_message_that_takes_longer_than_the_keepalive_arrives(mosquitto: Broker) -> None:
    """61 kB at 8 kB/s, while a broker that is silent for 1.9 s would be given up."""
    if sys.platform != "linux":
        missing("Linux, which alone says what has left the machine,")
    with (
        transport(mosquitto.url, "reader", filters=["a"]) as reader,
        slow_link(mosquitto.port, 8000) as url,
        transport(url, "one", keepalive_s=1) as one,
    ):
        next_event(reader, Connected)
        next_event(one, Connected)
        one.publish("a", bytes(61_440))
        began = time.monotonic()
        assert receive_payloads(reader, 1, 30.0) == [bytes(61_440)]
        assert time.monotonic() - began > 4.0
        assert one.flush(5.0)
        assert one.receive(0) is None  # no Disconnected meanwhile


@pytest.fixture
def liar() -> Iterator["Liar"]:
    made = Liar()
    yield made
    made.close()


class Liar:
    """Listens, answers each connection with the next of some bytes, and hangs up.

    Attributes:
        stays: how long it says nothing more before it hangs up, in seconds.
    """

    def __init__(self) -> None:
        self.stays = 0.0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"mqtt://127.0.0.1:{self._listener.getsockname()[1]}"
        self.answers: Iterator[bytes] = iter(())
        self.n_connections = 0
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def start(self, answers: Iterator[bytes]) -> None:
        self.answers = answers
        self._thread.start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            with sock, contextlib.suppress(OSError):  # the client may hang up at any time
                self.n_connections += 1
                sock.recv(4096)
                sock.sendall(next(self.answers))
                time.sleep(self.stays)
                sock.shutdown(socket.SHUT_WR)
                sock.settimeout(0.5)
                sock.recv(4096)


CONNACK_5 = bytes.fromhex("20 03 00 00 00")
HOSTILE = [
    b"",
    b"\x00",
    b"HTTP/1.1 400 Bad Request\r\n\r\n",
    bytes.fromhex("ff ff ff ff ff"),  # a length that never ends
    bytes.fromhex("20 01 00"),  # a CONNACK cut short
    bytes.fromhex("20 05 00 00 02 99 00"),  # an unknown property
    bytes.fromhex("20 06 00 00 03 21 00 00"),  # receive maximum 0
    bytes.fromhex("20 08 00 00 05 27 00 00 00 00"),  # maximum packet size 0
    CONNACK_5 + bytes.fromhex("32 02 00 05"),  # a PUBLISH whose topic is longer than it
    CONNACK_5 + bytes.fromhex("32 07 00 02 ff fe 00 01 00"),  # a topic that is not UTF-8
    CONNACK_5 + bytes.fromhex("36 06 00 01 61 00 01 00"),  # QoS 3
    CONNACK_5 + bytes.fromhex("40 02 00 01"),  # a PUBACK for nothing
    CONNACK_5 + bytes.fromhex("90 01 00"),
    CONNACK_5 + bytes.fromhex("90 06 00 01 00 01 02 03"),  # a SUBACK with too many answers
    CONNACK_5 + bytes.fromhex("b0 01 00"),
    CONNACK_5 + bytes.fromhex("e0 02 8b 00"),  # a DISCONNECT with a reason
    CONNACK_5 + bytes.fromhex("f0 00"),
    CONNACK_5 + bytes.fromhex("62 02 00 07"),  # a PUBREL for nothing
    CONNACK_5 + CONNACK_5,
]


def test_no_bytes_of_a_broker_stop_the_network_thread(liar: Liar) -> None:
    """Every answer is given twice, as a broker of either version would get to give it."""
    dice = random.Random(11)  # noqa: S311 - a fuzzer
    noise = [CONNACK_5 + dice.randbytes(dice.randrange(1, 40)) for _ in range(60)]
    answers = [answer for answer in HOSTILE + noise for _ in range(2)]
    liar.start(itertools.chain(answers, itertools.repeat(b"")))

    class Impatient(random.Random):
        def uniform(self, a: float, b: float) -> float:
            return 0.0

    with transport(liar.url, "one", rng=Impatient()) as one:
        one.subscribe("a")
        deadline = time.monotonic() + 20.0
        while liar.n_connections < len(answers) and time.monotonic() < deadline:
            one.publish("a", b"x")
            one.receive(0.01)
        assert liar.n_connections >= len(answers)
        assert any(thread.name == "fedge mqtt" for thread in threading.enumerate())


def publish_packet(size: int) -> bytes:
    """A PUBLISH of QoS 0 on topic "a", without properties, of so many bytes behind its length."""
    length, rest = b"", size
    while rest > 0x7F:
        length, rest = length + bytes([rest & 0x7F | 0x80]), rest >> 7
    return b"\x30" + length + bytes([rest]) + b"\x00\x01a\x00"


@pytest.mark.parametrize("size", [LARGEST_PACKET + 1, 268_435_455])
def test_a_packet_larger_than_ours_ends_the_connection_before_it_is_read(
    liar: Liar, size: int
) -> None:
    """The largest that MQTT knows took 835 MB of memory before."""
    liar.stays = 0.5
    packet = publish_packet(size)
    liar.start(itertools.repeat(CONNACK_5 + packet + bytes(100_000)))
    tracemalloc.start()
    with transport(liar.url, "one") as one:
        reason = next_event(one, Disconnected).reason
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert reason.startswith(
        f"{liar.url} sent a packet of {size} bytes; fedge reads at most 262144; "
    )
    assert peak < 2**20


def test_a_packet_as_large_as_we_take_arrives(liar: Liar) -> None:
    liar.stays = 1.0
    packet = publish_packet(LARGEST_PACKET)
    suback = bytes.fromhex("90 04 00 01 00 01")
    liar.start(itertools.repeat(CONNACK_5 + suback + packet + bytes(LARGEST_PACKET - 4)))
    with transport(liar.url, "one") as one:
        one.subscribe("a")
        assert receive_payloads(one, 1) == [bytes(LARGEST_PACKET - 4)]


def test_a_refusal_is_told_in_the_brokers_words(liar: Liar) -> None:
    liar.start(itertools.repeat(bytes.fromhex("20 03 00 87 00")))
    with transport(liar.url, "one") as one:
        reason = next_event(one, Disconnected).reason
    assert reason.startswith(f"{liar.url} refuses us (not authorized); next try in ")


def test_a_silent_listener_is_given_up_after_a_while(
    liar: Liar, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fedge.transport.link._ANSWER_S", 1.0)
    monkeypatch.setattr("fedge.transport.probe._TIMEOUT_S", 0.2)
    with transport(liar.url, "one") as one:  # nobody accepts: the kernel does
        reason = next_event(one, Disconnected).reason
    assert "accepts connections but does not answer" in reason


def test_a_broker_that_forgets_a_subscription_is_given_up_after_a_while(
    liar: Liar, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fedge.transport.link._ANSWER_S", 1.0)
    liar.stays = 4.0
    liar.start(itertools.repeat(CONNACK_5))
    with transport(liar.url, "one", keepalive_s=1) as one:
        one.subscribe("a")
        reason = next_event(one, Disconnected).reason
    assert "accepts subscriptions but does not answer" in reason


def test_an_error_of_our_own_is_logged_and_survived(
    any_broker: Broker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with transport(any_broker.url, "one") as one:
        next_event(one, Connected)
        with monkeypatch.context() as patch, caplog.at_level(logging.CRITICAL):
            patch.setattr("fedge.transport.link.Link.tick", lambda _: 1 // 0)
            reason = next_event(one, Disconnected).reason
        assert "broke (ZeroDivisionError" in reason
        next_event(one, Connected)


def test_a_process_that_forgets_to_close_still_ends(any_broker: Broker) -> None:
    program = _MORTAL.replace("time.sleep(60)", "sys.exit(3)")
    command = [sys.executable, "-c", program, any_broker.url]
    assert subprocess.run(command, timeout=20, check=False, capture_output=True).returncode == 3


def test_a_signal_does_not_disturb_the_network_thread(any_broker: Broker) -> None:
    seen = []
    before = signal.signal(signal.SIGUSR1, lambda *_: seen.append(1))
    try:
        with transport(any_broker.url, "one") as one:
            one.subscribe("a")
            next_event(one, Connected)
            for number in range(20):
                os.kill(os.getpid(), signal.SIGUSR1)
                one.publish("a", b"%d" % number)
            assert len(receive_payloads(one, 20)) == 20
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert seen


@pytest.mark.parametrize(
    ("version", "will"),
    [("5", None), ("5", ("fedge/state", b"gone")), ("3.1.1", ("fedge/state", b"gone"))],
)
def test_a_broker_that_keeps_nothing_is_named_with_what_to_change(
    tmp_path: Path, version: str, will: tuple[str, bytes] | None
) -> None:
    """On 3.1.1 mosquitto closes without a word, if a message or a will is to be retained."""
    with (
        configured(tmp_path / "broker", lines="retain_available false") as broker,
        transport(broker.url(), None, version=version, will=will) as one,
    ):
        reason = next_event(one, Disconnected).reason
    assert "does not support retained messages, which fedge needs" in reason
    assert "retain_available true" in reason


class Highest(random.Random):
    """Draws the longest pause."""

    def uniform(self, a: float, b: float) -> float:
        return b


def test_a_link_that_breaks_soon_after_an_outage_is_tried_again_at_once(mosquitto: Broker) -> None:
    """Six failed tries make pauses of 3.2 s; the link that follows ends them, however short."""
    mosquitto.kill()
    with transport(mosquitto.url, "one", rng=Highest()) as one:
        while next_event(one, Disconnected).retry_in_s < 3.0:
            pass
        mosquitto.restart()
        next_event(one, Connected)
        mosquitto.kill()
        assert next_event(one, Disconnected).retry_in_s == 0.1
        mosquitto.restart()
        next_event(one, Connected)


def test_a_loss_after_a_connected_that_nobody_has_read_is_no_delivery(any_broker: Broker) -> None:
    with transport(any_broker.url, "one") as one:
        one.publish("a", b"delivered")
        assert one.flush(8.0)  # so it is connected, and the event that says so is not read yet
        any_broker.freeze()
        one.publish("a", b"lost")
        any_broker.kill()
        assert not one.flush(8.0)
        next_event(one, Connected)  # of the link that was before the loss
        assert not one.flush(0)
        any_broker.restart()
        next_event(one, Connected)
        assert one.flush(0)


def test_what_was_too_large_to_be_sent_is_no_delivery(mosquitto: Broker) -> None:
    with contextlib.closing(MqttTransport(mosquitto.url, "one")) as one:
        one.publish("a", bytes(200_000))
        one.start()
        next_event(one, Connected)
        assert not one.flush(5.0)
        assert isinstance(one.receive(5.0), Undelivered)
        assert one.flush(0)
