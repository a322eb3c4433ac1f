"""The transport in bulk: what is handed over together, and what waits for its reader."""

import contextlib
import time
import tracemalloc

import pytest

from fedge.transport import Connected, Message
from tests.support.broker import Broker
from tests.support.transports import next_event, receive_payloads, transport

pytestmark = pytest.mark.broker


def test_a_caller_who_does_not_read_is_not_buried(mosquitto: Broker) -> None:
    """What waits for it is bounded in bytes, the link stands meanwhile, and nothing is lost."""
    n, size = 400, 60_000
    with (
        transport(mosquitto.url, "sub", filters=["a"], receive_maximum=2048, keepalive_s=1) as sub,
        transport(mosquitto.url, "pub") as pub,
    ):
        next_event(sub, Connected)
        tracemalloc.start()
        for number in range(n):
            pub.publish("a", number.to_bytes(4, "big") + bytes(size))
            assert pub.flush(5.0)
        time.sleep(4.0)  # twice what a silent broker is given, and more than a silent client is
        held, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert 4e6 < held < 10e6
        numbers = [int.from_bytes(one[:4], "big") for one in receive_payloads(sub, n)]
        assert numbers == list(range(n))
        assert sub.receive(0.2) is None  # no Disconnected


def test_a_batch_arrives_whole_and_in_order(any_broker: Broker) -> None:
    with (
        transport(any_broker.url, "sub", filters=["a"]) as sub,
        transport(any_broker.url, "pub", send_maximum=100) as pub,
    ):
        next_event(sub, Connected)
        pub.publish("a", b"before")
        with pub.batch():
            for number in range(300):
                pub.publish("a", b"%d" % number)
            assert pub.traffic.n_sent <= 1
        pub.publish("a", b"after")
        got = []
        for _ in range(302):
            message = next_event(sub, Message)
            with sub.batch():
                sub.done(message)
            got.append(message.payload)
        assert got == [b"before", *(b"%d" % number for number in range(300)), b"after"]


def test_nothing_overtakes_a_batch(any_broker: Broker) -> None:
    with transport(any_broker.url, "one") as one:
        next_event(one, Connected)
        with one.batch():
            one.subscribe("a")
            one.publish("a", b"heard")
            assert one.flush(5.0)  # sends what was collected so far
        assert receive_payloads(one, 1) == [b"heard"]
        with contextlib.suppress(ZeroDivisionError), one.batch():
            one.publish("a", b"also when an exception leaves it")
            _ = 1 / 0
        assert receive_payloads(one, 1) == [b"also when an exception leaves it"]
