"""Small parts of the aggregator, each alone."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedge.aggregator import Aggregator
from fedge.aggregator.link.session import messages_ahead
from fedge.aggregator.reception.reassembly import Reassembly
from fedge.aggregator.reporting.events import Events
from fedge.aggregator.reporting.rate_limit import RateLimit
from fedge.aggregator.reporting.traffic import Traffic
from fedge.aggregator.state.registry import open_registry
from fedge.config.aggregator import AggregatorConfig
from fedge.errors import ConfigError, StorageError
from fedge.messages import DeviceState, Presence, Reason, Topics, split_update
from fedge.types import DeviceId, RoundId
from tests.support.aggregator_by_hand import Bench
from tests.support.models import softmax

ANN = DeviceId("ann")


def state(presence: Presence, instance: bytes) -> DeviceState:
    return DeviceState(presence=presence, instance=instance, software="test")


def test_a_throttle_says_some_and_counts_the_rest() -> None:
    rate_limit = RateLimit(2, 10.0)
    assert [rate_limit.allows(t) for t in (0.0, 1.0, 2.0, 3.0)] == [True, True, False, False]
    assert rate_limit.n_silent == 2
    assert rate_limit.allows(11.0)


def test_a_meter_gives_each_byte_once() -> None:
    traffic = Traffic(most_late=9)
    traffic.received(10)
    traffic.sent(100)
    traffic.refused(ANN, Reason.LATE)
    traffic.refused(ANN, Reason.LATE)
    tally = traffic.take()
    assert (tally.uplink_bytes, tally.downlink_bytes, tally.refusals) == (10, 100, {"late": 2})
    assert traffic.take_late() == 1
    traffic.sent(130)
    tally = traffic.take()
    assert (tally.uplink_bytes, tally.downlink_bytes, tally.refusals) == (0, 30, {})


def test_a_late_device_that_is_one_too_many_to_count_is_told_once_a_round() -> None:
    traffic = Traffic(most_late=2)
    for _ in range(2):
        late = [traffic.refused(DeviceId(name), Reason.LATE) for name in "abcabd"]
        assert late == [False, False, True, False, False, False]
        assert traffic.take().refusals == {"late": 6}
        assert traffic.take_late() == 2


def test_no_device_is_ignored_in_silence(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fedge.aggregator.reception.router._MOST_LATE", 3)
    bench = Bench(tmp_path, rounds=2, wait_for=1, quorum=1, max_devices=3)
    bench.add("ann")
    bench.settle()
    run = bench.devices["ann"].manifest.run  # type: ignore[union-attr] # it has heard of a round
    for index in range(6):
        (chunk,) = split_update(b"late", run, RoundId(1), bytes(8))
        topic = Topics("default").up("default", f"d{index}", 1)
        bench.bus.deliver("", topic, chunk.to_bytes(), retain=False)
    bench.aggregator._scheduler.is_finished = False
    bench.aggregator.step()
    assert caplog.text.count("updates of more than 3 devices came too late") == 1


@pytest.mark.parametrize(
    ("codec", "n_trainable", "n_ahead"),
    [
        ("topk:0.01/sign", 51_466, 2048),  # 2.6 kB at most
        ("none", 51_466, 546),  # 61 440 bytes a chunk, 32 MiB in all
        ("topk:0.5/int8", 10_000, 1342),  # 25 000 bytes
        ("int8", 10, 2048),
    ],
)
def test_so_many_updates_may_wait_as_memory_allows(
    codec: str, n_trainable: int, n_ahead: int
) -> None:
    assert messages_ahead(codec, n_trainable) == n_ahead


def test_events_leave_lines_of_others_alone(tmp_path: Path) -> None:
    path = tmp_path / "events"
    path.write_text('not json\n{"event": "round", "round": 1}\n[1]\n{"event": "rou')
    events = Events(path, lambda: "now")
    events.catch_up(
        [{"event": "round", "round": 1}, {"event": "round", "round": 2, "time": "then"}]
    )
    lines = path.read_text().splitlines()
    assert lines[:3] == ["not json", '{"event": "round", "round": 1}', "[1]"]
    assert [json.loads(line) for line in lines[3:]] == [
        {"v": 1, "time": "then", "event": "round", "round": 2}
    ]


def test_events_that_cannot_be_written_are_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot write"):
        Events(tmp_path / "no" / "such" / "folder", lambda: "now").write({})


def test_the_registry_gives_every_model_while_the_aggregator_works(tmp_path: Path) -> None:
    bench = Bench(tmp_path, rounds=3, wait_for=1)
    bench.add("ann")
    bench.settle()
    registry = open_registry(tmp_path / "state")
    assert [model.round for model in registry.models()] == [None, 1, 2, 3]
    assert registry.latest() == registry.model(3)
    assert registry.artifact().sha256 == bench.artifact.sha256
    with pytest.raises(ConfigError, match="there is no model of round 9"):
        registry.model(9)


def test_a_folder_that_is_no_state_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="is not the state directory of an aggregator"):
        open_registry(tmp_path)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"strategy": "median-of-means"}, "unknown strategy 'median-of-means'"),
        ({"codec": "zip"}, "zip"),
        ({"artifact": Path("/no/such.fedge")}, "cannot read /no/such.fedge"),
        ({"test_data": Path("/no/such.npz")}, "cannot read /no/such.npz"),
    ],
)
def test_settings_that_cannot_work_are_refused_before_anything_is_written(
    tmp_path: Path, settings: dict[str, object], sentence: str
) -> None:
    softmax().save(tmp_path / "model.fedge")
    given = {"artifact": tmp_path / "model.fedge", "state_dir": tmp_path / "state", **settings}
    with pytest.raises(ConfigError) as caught:
        Aggregator(AggregatorConfig(**given))  # type: ignore[arg-type] # as the case says
    assert sentence in str(caught.value)
    assert not (tmp_path / "state").exists()


@given(data=st.data())
def test_chunks_of_several_devices_make_the_updates_that_were_sent(data: st.DataObject) -> None:
    reassembly = Reassembly(max_bytes=1000)
    sent = {
        DeviceId(name): data.draw(st.binary(max_size=200), label=name) for name in ("ann", "bob")
    }
    chunks = [
        (device, chunk)
        for device, payload in sent.items()
        for chunk in split_update(payload, b"run1", RoundId(1), bytes(8), chunk_bytes=32)
    ]
    order = data.draw(st.permutations(chunks))
    found = {device: reassembly.add(device, chunk, 0.0) for device, chunk in order}
    assert found == sent
    assert reassembly.size_bytes == 0
