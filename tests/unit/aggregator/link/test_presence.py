"""Two aggregators that run one job: the later one goes, and the devices notice nothing."""

from dataclasses import replace
from pathlib import Path

import pytest

from fedge.aggregator import Aggregator
from fedge.errors import IdentityError
from fedge.messages import AggregatorState, Presence, Topics
from fedge.types import JobId
from tests.support.aggregator_by_hand import Bench
from tests.support.bus import BusTransport

TOPIC = Topics("default").aggregator_state("aggregator")


def a_rival(bench: Bench, folder: Path, **changes: str) -> tuple[Aggregator, BusTransport]:
    """Another aggregator, on a directory of its own."""
    config = replace(bench.config, state_dir=folder, events=None, **changes)  # type: ignore[arg-type] # texts
    transport = bench.bus.transport("rival")
    return Aggregator(config, transport=transport, clock=bench.time.clock), transport


def at_work(folder: Path) -> Bench:
    """An aggregator that has been connected for a while; a round is open."""
    bench = Bench(folder, rounds=3, wait_for=1, quorum=2)
    bench.add("ann")
    bench.settle()
    bench.time.now_s += 10
    return bench


@pytest.mark.parametrize("name", ["aggregator", "other"])
def test_the_later_one_stops_and_tells_the_devices_nothing(tmp_path: Path, name: str) -> None:
    bench = at_work(tmp_path)
    before = bench.devices["ann"].manifest
    rival, _ = a_rival(bench, tmp_path / "rival", name=name)
    rival.step()
    bench.aggregator.step()
    with pytest.raises(IdentityError, match="job 'default' of fleet 'default' is run by another"):
        rival.step()
    rival.close()
    bench.settle()
    assert bench.devices["ann"].manifest == before
    assert AggregatorState.from_bytes(bench.bus.retained[TOPIC]).presence is Presence.ONLINE
    bench.add("bob")
    bench.settle()
    assert bench.devices["ann"].accepted == [1, 2, 3]


def test_one_of_a_dead_run_is_waited_for_and_then_followed(tmp_path: Path) -> None:
    """Its broker has no will of it: it says for ever that somebody is there."""
    bench = at_work(tmp_path)
    bench.kill()
    rival, _ = a_rival(bench, tmp_path / "rival")
    old = bench.devices["ann"].manifest
    assert old is not None
    for _ in range(5):
        rival.step()
        bench.settle_devices()
    assert bench.devices["ann"].manifest == old
    bench.time.now_s += 1.1
    for _ in range(5):
        rival.step()
        bench.settle_devices()
    new = bench.devices["ann"].manifest
    assert new is not None
    assert (new.round, new.run) == (1, rival._on.run)
    assert new.run != old.run
    rival.close()


def test_the_will_of_a_predecessor_does_not_hide_the_aggregator(tmp_path: Path) -> None:
    bench = at_work(tmp_path)
    state = AggregatorState.from_bytes(bench.bus.retained[TOPIC])
    gone = replace(state, presence=Presence.OFFLINE, instance=bytes(8))
    other = bench.bus.transport("broker")
    other.start()
    other.publish(TOPIC, gone.to_bytes(), retain=True)
    bench.settle()
    assert AggregatorState.from_bytes(bench.bus.retained[TOPIC]) == state


def test_the_aggregator_of_another_job_is_no_rival(tmp_path: Path) -> None:
    bench = at_work(tmp_path)
    other, _ = a_rival(bench, tmp_path / "rival", name="other", job=JobId("digits"))
    for _ in range(5):
        other.step()
        bench.aggregator.step()
    other.close()


def test_nonsense_under_an_aggregators_name_is_ignored(tmp_path: Path) -> None:
    bench = at_work(tmp_path)
    other = bench.bus.transport("eve")
    other.start()
    for payload in (b"", b"\xff", b"\x80"):
        other.publish(TOPIC, payload)
    bench.settle()
    bench.add("bob")
    bench.settle()
    assert bench.devices["ann"].accepted == [1, 2, 3]
