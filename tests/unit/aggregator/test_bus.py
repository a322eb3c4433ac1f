"""The bus that other tests stand on keeps the laws of a transport."""

from fedge.transport.base import Connected, Disconnected, Message, Transport, Undelivered
from tests.support.bus import Bus, BusTransport, matches


def drain(transport: Transport) -> list[object]:
    events: list[object] = []
    while (event := transport.receive(0)) is not None:
        events.append(event)
        if isinstance(event, Message):
            transport.done(event)
    return events


def payloads(events: list[object]) -> list[tuple[bytes, bool]]:
    return [(e.payload, e.is_retained) for e in events if isinstance(e, Message)]


def started(bus: Bus, name: str, **options: object) -> BusTransport:
    transport = bus.transport(name, **options)  # type: ignore[arg-type] # options of the test
    transport.start()
    assert isinstance(transport.receive(0), Connected)
    return transport


def test_a_subscriber_gets_what_was_retained_and_what_comes_later() -> None:
    bus = Bus()
    sender, hearer = started(bus, "a"), started(bus, "b")
    sender.publish("x/1", b"old")
    sender.publish("x/1", b"kept", retain=True)
    hearer.subscribe("x/+")
    sender.publish("x/2", b"live", retain=True)
    assert payloads(drain(hearer)) == [(b"kept", True), (b"live", False)]
    assert drain(sender) == [Undelivered("x/1", "No matching subscribers")]


def test_a_cut_publishes_the_will_and_loses_the_queue() -> None:
    bus = Bus()
    device, watcher = started(bus, "d", will=("dev/d", b"gone")), started(bus, "w")
    device.subscribe("in")
    watcher.subscribe("dev/+")
    watcher.publish("in", b"lost")
    bus.cut(device)
    assert payloads(drain(watcher)) == [(b"gone", False)]
    assert [type(event) for event in drain(device)] == [Disconnected]


def test_a_renewed_link_brings_subscriptions_back_and_sends_what_waited() -> None:
    bus = Bus()
    device, watcher = started(bus, "d"), started(bus, "w")
    device.subscribe("in")
    watcher.subscribe("out")
    bus.cut(device)
    device.publish("out", b"waited")
    bus.join(device)
    watcher.publish("in", b"again")
    assert payloads(drain(watcher)) == [(b"waited", False)]
    assert payloads(drain(device)) == [(b"again", False)]


def test_a_polite_close_publishes_no_will() -> None:
    bus = Bus()
    device, watcher = started(bus, "d", will=("dev/d", b"gone")), started(bus, "w")
    watcher.subscribe("dev/+")
    device.close()
    assert drain(watcher) == []


def test_no_more_messages_come_out_than_the_receive_maximum_until_they_are_done() -> None:
    bus = Bus()
    sender, hearer = started(bus, "a"), started(bus, "b", receive_maximum=2)
    hearer.subscribe("x")
    for number in range(3):
        sender.publish("x", bytes([number]))
    first, second = hearer.receive(0), hearer.receive(0)
    assert isinstance(first, Message)
    assert isinstance(second, Message)
    assert hearer.receive(0) is None
    hearer.done(first)
    assert payloads(drain(hearer)) == [(b"\x02", False)]


def test_filters_match_as_in_mqtt() -> None:
    assert matches("a/+/c", "a/b/c")
    assert matches("a/#", "a/b/c")
    assert matches("#", "a")
    assert not matches("a/+", "a/b/c")
    assert not matches("a/b", "a/c")
