"""What fedge asks of a broker, at each that it starts; and where they differ.

Expected values are those of the MQTT 5 standard, whose numbers are beside them, or of a broker's
documentation. docs/brokers.md has the differences as a table, and what each means for fedge.
"""

import hashlib
import itertools
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from fedge.transport.programs import BrokerKind
from tests.support.broker import Broker, running
from tests.support.probe import Probe, eventually, probing

pytestmark = pytest.mark.broker

NO_MATCHING_SUBSCRIBERS, PACKET_TOO_LARGE = 0x10, 0x95
KINDS: list[BrokerKind] = ["iotcore", "mosquitto"]
Make = Callable[..., Probe]


@pytest.fixture
def make(any_broker: Broker) -> Iterator[Make]:
    with probing(any_broker.port) as found:
        yield found


def test_the_last_retained_message_waits_and_an_empty_one_clears_it(make: Make) -> None:
    """3.3.1.3: with the flag for later subscribers, without it for those that are there."""
    writer, early = make("writer").connect(), make("early").connect().subscribe("kept/+")
    for payload in (b"one", b"two"):
        writer.publish("kept/a", payload, retain=True)
    assert early.payloads(2) == [b"one", b"two"]
    assert not any(message.retain for message in early.messages)
    late = make("late").connect().subscribe("kept/+")
    assert late.payloads(1) == [b"two"]
    assert late.messages[0].retain
    writer.publish("kept/a", b"", retain=True)
    latest = make("latest").connect().subscribe("kept/+")
    assert latest.payloads(1, 0.5) == []


def test_a_retained_message_is_gone_with_the_broker(any_broker: Broker) -> None:
    """fedge starts brokers without persistence; who needs a message there sends it again."""
    with probing(any_broker.port) as make:
        make("writer").connect().publish("kept", b"one", retain=True)
    any_broker.kill()
    any_broker.restart()
    with probing(any_broker.port) as make:
        assert make("reader").connect().subscribe("kept").payloads(1, 0.5) == []


def test_the_will_of_the_dead_is_published_and_that_of_the_departed_is_not(make: Make) -> None:
    """3.1.2.5."""
    watcher = make("watcher").connect().subscribe("state/+")
    make("mortal").connect(will=("state/mortal", b"dead")).vanish()
    make("polite").connect(will=("state/polite", b"dead")).leave()
    assert watcher.payloads(1) == [b"dead"]
    assert watcher.payloads(2, 1.0) == [b"dead"]
    late = make("late").connect().subscribe("state/+")
    assert late.payloads(1) == [b"dead"]
    assert late.messages[0].retain


def test_a_will_waits_for_its_delay_and_not_longer_than_the_session(make: Make) -> None:
    """3.1.3.2.2; mosquitto looks once in a few seconds."""
    watcher = make("watcher").connect().subscribe("state/+")
    for name, delay_s, expiry_s in (("delay", 2, 60), ("expiry", 60, 2)):
        watcher.messages.clear()
        mortal = make(name)
        mortal.connect(
            will=(f"state/{name}", b"dead"),
            will_delay_s=delay_s,
            SessionExpiryInterval=expiry_s,
        )
        mortal.vanish()
        began = time.monotonic()
        assert watcher.payloads(1, 12.0) == [b"dead"]
        assert 1.0 < time.monotonic() - began < 8.0


def test_who_comes_back_within_the_delay_leaves_no_will(make: Make) -> None:
    """3.1.3.2.2."""
    watcher = make("watcher").connect().subscribe("state/+")
    keep: dict[str, Any] = {"is_clean": False, "SessionExpiryInterval": 60}
    make("a").connect(will=("state/a", b"dead"), will_delay_s=2, **keep).vanish()
    back = make("a").connect(**keep)
    assert back.session_present
    assert watcher.payloads(1, 4.0) == []


def test_a_session_keeps_messages_until_a_clean_start(make: Make) -> None:
    """3.1.2.4 and 3.1.2.11.2."""
    keep: dict[str, Any] = {"is_clean": False, "SessionExpiryInterval": 60}
    make("a").connect(**keep).subscribe("for/a").leave()
    writer = make("writer").connect()
    writer.publish("for/a", b"kept")
    writer.publish("for/a", b"out of date", MessageExpiryInterval=1)
    time.sleep(2.2)
    back = make("a").connect(**keep)
    assert back.session_present
    assert back.payloads(2, 1.0) == [b"kept"]
    back.leave()
    clean = make("a").connect()
    assert not clean.session_present
    writer.publish("for/a", b"lost")
    assert clean.payloads(1, 0.5) == []


def test_a_second_with_the_same_id_throws_the_first_out(make: Make) -> None:
    """3.1.4-3; the will of the first is published."""
    watcher = make("watcher").connect().subscribe("state")
    first = make("same").connect(will=("state", b"dead"))
    second = make("same").connect()
    assert eventually(lambda: first.endings)
    assert watcher.payloads(1) == [b"dead"]
    assert second.endings == []


def test_properties_reach_the_subscriber_as_they_were_sent(make: Make) -> None:
    """3.3.2.3."""
    reader = make("reader").connect().subscribe("a")
    sent: dict[str, Any] = {
        "UserProperty": [("name", "value")], "ContentType": "cbor", "ResponseTopic": "b",
        "CorrelationData": b"12",
    }  # fmt: skip
    make("writer").connect().publish("a", **sent)
    reader.payloads(1)
    found = reader.messages[0].properties
    assert found is not None
    assert {name: getattr(found, name) for name in sent} == sent


def test_what_is_too_large_ends_its_own_connection_only(make: Make) -> None:
    """fedge writes both configurations: 128 KiB for mosquitto, 256 KiB for iotcore."""
    reader, other = make("reader").connect().subscribe("a"), make("other").connect()
    writer = make("writer").connect()
    assert writer.publish("a", bytes(61_568)) == 0  # the largest that fedge sends
    assert writer.publish("a", bytes(300_000)) is None
    assert eventually(lambda: writer.endings)
    assert other.publish("a", b"after") == 0
    assert [len(payload) for payload in reader.payloads(2)] == [61_568, 5]


def test_no_more_than_100_messages_are_under_way_to_who_acknowledges_none(make: Make) -> None:
    """The limit is in both configurations."""
    reader = make("reader", is_manual=True).connect().subscribe("a")
    writer = make("writer").connect()
    for number in range(150):
        writer.publish("a", b"%d" % number)
    assert reader.payloads(101, 1.0) == [b"%d" % number for number in range(100)]
    for message in list(reader.messages):
        reader.client.ack(message.mid, 1)
    assert reader.payloads(150) == [b"%d" % number for number in range(150)]


@pytest.mark.slow
def test_500_devices_get_what_is_theirs(any_broker: Broker, make: Make) -> None:
    writer = make("aggregator").connect()
    with ExitStack() as stack:
        devices = [
            stack.enter_context(_device(any_broker.port, b"device-%03d" % number))
            for number in range(500)
        ]
        for number in range(500):
            assert writer.publish(f"dev/device-{number:03}/in", b"%03d" % number) == 0
        # PUBLISH, QoS 1, of 25 bytes: topic, packet identifier 1, no properties, payload.
        topic = b"\x32\x19\x00\x11dev/device-%03d/in"
        want = [topic % number + b"\x00\x01\x00%03d" % number for number in range(500)]
        assert [device.recv(27, socket.MSG_WAITALL) for device in devices] == want


def _device(port: int, name: bytes) -> socket.socket:
    """A connection that has subscribed to its own topic; by hand: paho needs a thread for each."""
    made = socket.create_connection(("127.0.0.1", port), timeout=20.0)
    made.sendall(b"\x10\x17\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x0a" + name)
    head = made.recv(2, socket.MSG_WAITALL)
    assert (head[0], made.recv(head[1], socket.MSG_WAITALL)[1]) == (0x20, 0)
    made.sendall(b"\x82\x17\x00\x01\x00\x00\x11dev/" + name + b"/in\x01")
    assert made.recv(6, socket.MSG_WAITALL) == b"\x90\x04\x00\x01\x00\x01"
    return made


@pytest.mark.slow
def test_a_model_of_100_mb_reaches_four_devices_whole(make: Make) -> None:
    """In chunks of 61 440 bytes, 16 under way, as a device asks for them."""
    readers = [make(f"reader-{number}").connect().subscribe("blob/+") for number in range(4)]
    writer, want = make("writer").connect(), hashlib.sha256()
    n_chunks = 1628
    for number in range(n_chunks):
        payload = number.to_bytes(4, "little") * 15_360
        want.update(payload)
        info = writer.client.publish(f"blob/{number}", payload, 1)
        if number % 16 == 15:
            info.wait_for_publish(10.0)
    for reader in readers:
        assert len(reader.payloads(n_chunks, 30.0)) == n_chunks
        found = hashlib.sha256(b"".join(message.payload for message in reader.messages))
        assert found.digest() == want.digest()


def _announced(name: str) -> Callable[[Make], object]:
    return lambda make: make("a").connect().announced.get(name)


def _sent_beyond_the_receive_maximum(make: Make) -> int:
    reader = make("reader", is_manual=True).connect(ReceiveMaximum=3).subscribe("a")
    writer = make("writer").connect()
    for _ in range(10):
        writer.publish("a")
    return len(reader.payloads(10, 1.0))


def _sent_beyond_the_maximum_packet_size(make: Make) -> list[int]:
    reader = make("reader").connect(MaximumPacketSize=1000).subscribe("a")
    writer = make("writer").connect()
    writer.publish("a", bytes(5000))
    writer.publish("a", bytes(5))
    return [len(payload) for payload in reader.payloads(2, 1.0)]


def _answer_to_a_message_for_nobody(make: Make) -> int | None:
    return make("writer").connect().publish("nobody")


def _reason_for_ending(make: Make) -> list[int | None]:
    writer = make("writer").connect()
    writer.publish("a", bytes(300_000))
    eventually(lambda: writer.endings)
    return writer.endings[:1]


def _is_a_session_kept_that_began_clean(make: Make) -> bool:
    make("a").connect(SessionExpiryInterval=60).leave()
    return make("a").connect(is_clean=False, SessionExpiryInterval=60).session_present


def _own_messages_with_no_local(make: Make) -> list[bytes]:
    one = make("one").connect().subscribe("a", noLocal=True)
    one.publish("a")
    return one.payloads(1, 0.5)


def _retained(make: Make, **options: Any) -> Probe:
    make("writer").connect().publish("a", b"kept", retain=True)
    return make("reader").connect().subscribe("a", **options)


def _retained_with_handling_2(make: Make) -> list[bytes]:
    return _retained(make, retainHandling=2).payloads(1, 0.5)


def _retained_when_subscribed_again(make: Make) -> list[bytes]:
    reader = _retained(make)
    reader.payloads(1)
    return reader.subscribe("a").payloads(2, 0.5)[1:]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("ask", "expected"),
    [
        (_announced("ReceiveMaximum"), {"mosquitto": 100, "iotcore": None}),
        (_announced("MaximumPacketSize"), {"mosquitto": 131_072, "iotcore": None}),
        (_sent_beyond_the_receive_maximum, {"mosquitto": 3, "iotcore": 10}),
        (_sent_beyond_the_maximum_packet_size, {"mosquitto": [5], "iotcore": [5000, 5]}),
        (_answer_to_a_message_for_nobody, {"mosquitto": NO_MATCHING_SUBSCRIBERS, "iotcore": 0}),
        (_reason_for_ending, {"mosquitto": [PACKET_TOO_LARGE], "iotcore": [None]}),
        (_is_a_session_kept_that_began_clean, {"mosquitto": True, "iotcore": False}),
        (_own_messages_with_no_local, {"mosquitto": [], "iotcore": [b"x"]}),
        (_retained_with_handling_2, {"mosquitto": [], "iotcore": [b"kept"]}),
        (_retained_when_subscribed_again, {"mosquitto": [b"kept"], "iotcore": []}),
    ],
    ids=lambda one: getattr(one, "__name__", "").strip("_"),
)
def test_where_they_differ(
    kind: BrokerKind, ask: Callable[[Make], object], expected: dict[str, object], tmp_path: Path
) -> None:
    """A change of one of these is news for docs/brokers.md."""
    with running(kind, tmp_path) as broker, probing(broker.port) as make:
        assert ask(make) == expected[kind]


def test_a_stalled_subscriber_of_iotcore_loses_the_oldest_beyond_64_mib(tmp_path: Path) -> None:
    """Eight segments of 8 MiB a filter; mosquitto holds 512 MiB a client."""
    n, size = 1200, 100_000  # 114 MiB
    with running("iotcore", tmp_path) as broker, probing(broker.port) as make:
        reader = make("reader", is_manual=True).connect().subscribe("a")
        writer = make("writer").connect()
        for number in range(n):
            assert writer.publish("a", b"%05d" % number + bytes(size - 5)) == 0
        for done in itertools.count():
            if len(reader.payloads(done + 1, 2.0)) == done:
                break
            reader.client.ack(reader.messages[done].mid, 1)
        found = [int(message.payload[:5]) for message in reader.messages]
    assert found[:100] == list(range(100))  # were under way
    assert found[100:] == list(range(n - len(found) + 100, n))
    assert 7 * 8 << 20 < len(found[100:]) * size < 9 * 8 << 20
