"""The transport at real brokers, while all is well."""

import contextlib
import gc
import os
import resource
import threading
from pathlib import Path

import pytest

from fedge.errors import ConfigError, PayloadError
from fedge.transport import Connected, Disconnected, Message, Traffic, Undelivered
from fedge.transport.mqtt import MqttTransport
from tests.support.broker import Broker
from tests.support.tools import missing
from tests.support.transports import (
    events_within,
    eventually,
    next_event,
    receive_payloads,
    transport,
)

pytestmark = pytest.mark.broker


def test_what_is_published_is_received(any_broker: Broker) -> None:
    with (
        transport(any_broker.url, "sub", filters=["a/+"]) as sub,
        transport(any_broker.url, "pub") as pub,
    ):
        next_event(sub, Connected)
        pub.publish("a/b", b"\x00payload\xff")
        message = next_event(sub, Message)
    assert (message.topic, message.payload) == ("a/b", b"\x00payload\xff")
    assert not message.is_retained


def test_mosquitto_speaks_mqtt_5_and_says_what_it_takes(mosquitto: Broker) -> None:
    with transport(mosquitto.url, "a") as one:
        # 131072 is in the configuration that fedge writes; 1024 are kept for topic and header.
        assert next_event(one, Connected) == Connected("MQTT 5", 131_072 - 1024)


def test_an_old_broker_is_found_out_without_being_told(old_broker: Broker) -> None:
    with transport(old_broker.url, "a", will=("a/will", b"gone")) as one:
        assert one.receive(8.0) == Connected("MQTT 3.1.1", 262_144 - 1024)


def test_a_version_can_be_required(old_broker: Broker) -> None:
    with transport(old_broker.url, "a", version="3.1.1") as one:
        assert next_event(one, Connected).protocol == "MQTT 3.1.1"
    with transport(old_broker.url, "a", version="5") as one:
        assert "without an answer" in next_event(one, Disconnected).reason


def test_all_of_2000_messages_arrive_in_order(any_broker: Broker) -> None:
    with (
        transport(any_broker.url, "sub", filters=["many"]) as sub,
        transport(any_broker.url, "pub") as pub,
    ):
        next_event(sub, Connected)
        for number in range(2000):
            pub.publish("many", b"%d" % number)
        assert receive_payloads(sub, 2000) == [b"%d" % number for number in range(2000)]
        assert pub.flush(5.0)


def test_bytes_are_counted_exactly(any_broker: Broker) -> None:
    with (
        transport(any_broker.url, "sub", filters=["a/+"]) as sub,
        transport(any_broker.url, "pub") as pub,
    ):
        next_event(sub, Connected)
        sizes = [0, 1, 127, 128, 61_440, 100_000]
        for size in sizes:
            pub.publish("a/b", bytes(size))
        assert [len(payload) for payload in receive_payloads(sub, len(sizes))] == sizes
        assert pub.flush(5.0)
        total = sum(sizes)
        assert pub.traffic == Traffic(sent_bytes=total, n_sent=len(sizes))
        assert sub.traffic == Traffic(received_bytes=total, n_received=len(sizes))


def test_a_retained_message_waits_for_a_later_subscriber(any_broker: Broker) -> None:
    with transport(any_broker.url, "pub") as pub:
        pub.publish("a", b"kept", retain=True)
        assert pub.flush(5.0)
    with (
        transport(any_broker.url, "sub", filters=["a"]) as sub,
        transport(any_broker.url, "pub") as pub,
    ):
        message = next_event(sub, Message)
        assert (message.payload, message.is_retained) == (b"kept", True)
        pub.publish("a", b"live", retain=True)
        message = next_event(sub, Message)
        assert (message.payload, message.is_retained) == (b"live", False)


def test_what_is_published_before_the_connection_is_sent_after_it(any_broker: Broker) -> None:
    with transport(any_broker.url, "one") as one:
        one.subscribe("a")
        one.publish("a", b"early")
        assert receive_payloads(one, 1) == [b"early"]


def test_after_unsubscribe_nothing_comes(any_broker: Broker) -> None:
    with transport(any_broker.url, "one") as one:
        one.subscribe("a")
        one.subscribe("b")
        one.publish("a", b"1")
        assert receive_payloads(one, 1) == [b"1"]
        one.unsubscribe("a")
        one.publish("a", b"2")
        one.publish("b", b"3")
        assert receive_payloads(one, 1) == [b"3"]


def test_a_close_is_no_death(any_broker: Broker) -> None:
    with transport(any_broker.url, "watcher", filters=["state"]) as watcher:
        next_event(watcher, Connected)
        for _ in range(5):
            with transport(any_broker.url, "mortal", will=("state", b"dead")) as mortal:
                mortal.subscribe("state")
                next_event(mortal, Connected)
                mortal.publish("state", b"alive")  # comes back, unread at the close
        events = events_within(watcher, 0.5)
    assert {event.payload for event in events if isinstance(event, Message)} == {b"alive"}


def test_a_message_to_nobody_is_reported(mosquitto: Broker) -> None:
    with transport(mosquitto.url, "one") as one:
        one.publish("nobody/here", b"?")
        assert one.flush(5.0)
        next_event(one, Connected)
        assert one.receive(1.0) == Undelivered("nobody/here", "nobody subscribes to it")


def test_a_payload_too_large_is_refused_before_it_is_sent(any_broker: Broker) -> None:
    with transport(any_broker.url, "one") as one:
        one.subscribe("a")
        most = next_event(one, Connected).max_payload_bytes
        with pytest.raises(PayloadError, match=f"at most {most} bytes"):
            one.publish("a", bytes(most + 1))
        one.publish("a", bytes(most))
        assert receive_payloads(one, 1) == [bytes(most)]
        assert one.traffic.n_sent == 1


def test_a_payload_published_before_the_limit_was_known_is_reported(mosquitto: Broker) -> None:
    with contextlib.closing(MqttTransport(mosquitto.url, "one")) as one:
        one.subscribe("a")
        one.publish("a", bytes(200_000))
        one.publish("a", b"next")
        one.start()
        next_event(one, Connected)
        assert one.receive(5.0) == Undelivered("a", "larger than the broker accepts")
        assert receive_payloads(one, 1) == [b"next"]


def test_while_nothing_is_done_no_more_than_the_window_is_sent(mosquitto: Broker) -> None:
    """mosquitto 2.0.11 sends a whole window for every message done; others send one."""
    with (
        transport(mosquitto.url, "sub", filters=["a"], receive_maximum=3) as sub,
        transport(mosquitto.url, "pub") as pub,
    ):
        next_event(sub, Connected)
        for number in range(10):
            pub.publish("a", b"%d" % number)
        assert pub.flush(5.0)
        first = [event for event in events_within(sub, 0.5) if isinstance(event, Message)]
        assert [message.payload for message in first] == [b"0", b"1", b"2"]
        for message in first * 2:  # twice is once
            sub.done(message)
        assert receive_payloads(sub, 7) == [b"%d" % number for number in range(3, 10)]


def test_more_than_1024_descriptors_are_no_obstacle(any_broker: Broker, tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2000:
        missing(f"only {hard} descriptors are allowed here, 2000 are needed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (2000, hard))
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    try:
        with transport(any_broker.url, "one") as one:
            one.subscribe("a")
            one.publish("a", b"1")
            assert receive_payloads(one, 1) == [b"1"]
    finally:
        for descriptor in held:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_close_leaves_no_thread_and_no_descriptor(any_broker: Broker) -> None:
    def descriptors() -> int:
        gc.collect()
        return len(list(Path("/proc/self/fd").iterdir()))

    before, threads = descriptors(), set(threading.enumerate())
    for _ in range(3):
        with transport(any_broker.url, "one") as one:
            next_event(one, Connected)
        one.close()  # a second time does nothing
        with transport("mqtt://127.0.0.1:1", "nobody there"):
            pass
    assert set(threading.enumerate()) == threads
    assert eventually(lambda: descriptors() == before, 1.0)


@pytest.mark.parametrize("topic", ["", "a/+", "#", "a" * 65_536])
def test_a_topic_to_publish_on_has_no_wildcards(topic: str) -> None:
    one = MqttTransport("mqtt://127.0.0.1", "one")
    with pytest.raises(ValueError, match="not a topic"):
        one.publish(topic, b"")
    one.close()


@pytest.mark.parametrize("topic", ["", "a+", "#/a", "a#", "a" * 65_536])
def test_a_filter_has_wildcards_only_for_whole_levels(topic: str) -> None:
    one = MqttTransport("mqtt://127.0.0.1", "one")
    with pytest.raises(ValueError, match="not a topic filter"):
        one.subscribe(topic)
    one.close()


def test_missing_certificates_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.pem"):
        MqttTransport("mqtts://127.0.0.1", "one", ca_file=tmp_path / "none.pem")
