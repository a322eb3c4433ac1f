"""The aggregator over a bus in memory: rounds from the first device to the last model."""

import hashlib
import json
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from fedge import codecs
from fedge.aggregator import open_registry
from fedge.artifact import Artifact
from fedge.errors import TrainingError
from fedge.messages import (
    AggregatorState,
    BlobRef,
    Presence,
    Reason,
    RoundManifest,
    RoundState,
    Topics,
    split_update,
)
from fedge.rounds import CALM_S
from fedge.types import RoundId
from tests.support.aggregator_by_hand import Bench
from tests.support.models import softmax
from tests.support.plain import mean_of_payloads, plain_models
from tests.support.scripted import scripted_nonce, scripted_payload


def rows(bench: Bench, query: str) -> list[tuple]:
    with sqlite3.connect(bench.folder / "state" / "state.sqlite3") as db:
        return db.execute(query).fetchall()


def events(bench: Bench) -> list[dict]:
    return [json.loads(line) for line in (bench.folder / "events.jsonl").read_text().splitlines()]


def expected_parameters(bench: Bench, rounds: list[list[str]], strategy: str) -> np.ndarray:
    """The model that these devices' scripted updates make, by the plain formulas."""
    return plain_models(bench.artifact, rounds, strategy=strategy)[-1][0]


def manifests(bench: Bench) -> dict[int, RoundManifest]:
    """What devices were told of each open round."""
    topic = Topics("default").round("default")
    told = [RoundManifest.from_bytes(s.payload) for s in bench.bus.log if s.topic == topic]
    return {one.round: one for one in told if one.state is RoundState.OPEN}


@pytest.mark.parametrize("strategy", ["fedavg", "fedadam:lr=0.05"])
def test_a_job_runs_all_its_rounds_and_says_so(tmp_path: Path, strategy: str) -> None:
    bench = Bench(tmp_path, rounds=3, wait_for=2, quorum=2, strategy=strategy)
    ann, bob = bench.add("ann", "bob")
    bench.settle()
    assert ann.accepted == bob.accepted == [1, 2, 3]
    assert ann.has_finished()
    assert bob.has_finished()
    assert not bench.aggregator.step()
    bench.aggregator.close()
    registry = open_registry(bench.folder / "state")
    want = expected_parameters(bench, [["ann", "bob"]] * 3, strategy)
    got = registry.parameters(registry.latest())
    assert got.tobytes() == want.astype("<f4").tobytes()
    kinds = [event["event"] for event in events(bench)]
    assert kinds == [*["opened", "round"] * 3, "finished"]


def test_no_round_opens_below_the_number_of_devices_waited_for(tmp_path: Path) -> None:
    bench = Bench(tmp_path, wait_for=2, quorum=2, rounds=1)
    (ann,) = bench.add("ann")
    bench.settle()
    assert ann.manifest is None
    waits = [one for one in events(bench) if one["event"] == "waiting"]
    assert (waits[-1]["online"], waits[-1]["wait_for"]) == (1, 2)
    bench.add("bob")
    bench.settle()
    assert ann.accepted == [1]


def test_a_device_that_cannot_do_a_round_does_not_stall_it(tmp_path: Path) -> None:
    bench = Bench(tmp_path, wait_for=2, rounds=2)
    ann, sick = bench.add("ann", "sick")
    sick.is_able = False
    for _ in range(3):
        bench.wait(CALM_S)
    assert ann.accepted == [1, 2]
    rounds = [event for event in events(bench) if event["event"] == "round"]
    assert [event["devices_skipped"] for event in rounds] == [1, 1]
    assert [event["devices_expected"] for event in rounds] == [2, 2]


def test_when_nobody_can_do_a_round_the_next_is_tried_and_after_three_the_job_stops(
    tmp_path: Path,
) -> None:
    bench = Bench(tmp_path, wait_for=2, rounds=9, give_up_after=3)
    for device in bench.add("ann", "bob"):
        device.is_able = False
    bench.settle()
    bench.wait(CALM_S)
    bench.wait(CALM_S)
    with pytest.raises(TrainingError, match=r"round 3; .* failed 3 times in a row: .*it diverged"):
        bench.wait(CALM_S)
    first, second = (event for event in events(bench) if event["event"] == "round_given_up")
    assert (first["round"], second["round"]) == (1, 2)
    assert first["missing"] == [
        {"device": "ann", "reason": "cannot do it: it diverged"},
        {"device": "bob", "reason": "cannot do it: it diverged"},
    ]


def test_a_round_that_nobody_could_do_is_forgotten_once_somebody_can(tmp_path: Path) -> None:
    bench = Bench(tmp_path, wait_for=1, rounds=3)
    (ann,) = bench.add("ann")
    ann.is_able = False
    while ann.manifest is None or ann.manifest.round < 2:
        bench.time.now_s += CALM_S
        ann.step(bench.time.now_s)
        bench.aggregator.step()
    ann.is_able = True  # it has said that it skips round 2, and sends an update nevertheless
    for _ in range(3):
        bench.wait(1)
    assert ann.accepted == [2, 3, 4]  # the round given up is not counted


def test_a_device_that_vanishes_does_not_stall_the_round(tmp_path: Path) -> None:
    bench = Bench(tmp_path, wait_for=2, rounds=1)
    ann, mute = bench.add("ann", "mute")
    mute.send = lambda: None  # type: ignore[method-assign] # it only listens
    bench.settle()
    assert ann.accepted == [1]
    assert not ann.has_finished()
    mute._transport.kill()  # type: ignore[attr-defined] # its process is gone
    bench.devices.pop("mute")
    bench.settle()
    assert not ann.has_finished()
    bench.wait(CALM_S)
    assert ann.has_finished()
    (event,) = [event for event in events(bench) if event["event"] == "round"]
    assert (event["devices_expected"], event["devices_lost"]) == (2, 1)


def test_a_silent_device_is_waited_for_until_the_deadline(tmp_path: Path) -> None:
    bench = Bench(tmp_path, wait_for=2, rounds=1, deadline_s=30)
    ann, mute = bench.add("ann", "mute")
    mute.send = lambda: None  # type: ignore[method-assign] # it only listens
    bench.settle()
    bench.wait(29)
    assert not ann.has_finished()
    bench.wait(2)
    assert ann.has_finished()


def test_below_the_quorum_a_round_waits_past_its_deadline_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench(tmp_path, wait_for=1, quorum=2, rounds=1, deadline_s=30)
    (ann,) = bench.add("ann")
    bench.settle()
    bench.wait(1000)
    assert not ann.has_finished()
    assert "deadline reached with 1 of 2 updates needed; still waiting" in caplog.text
    bench.add("bob")
    bench.settle()
    assert ann.has_finished()


@pytest.mark.parametrize("downlink", ["none", "topk:0.1/sign", "int8"])
def test_devices_are_told_of_the_model_that_the_broadcasts_lead_to(
    tmp_path: Path, downlink: str
) -> None:
    """The manifest names it by its hash, and the way from each model before."""
    bench = Bench(
        tmp_path, artifact=softmax(n_in=100), rounds=11, wait_for=2, downlink_codec=downlink
    )
    bench.add("ann", "bob")
    bench.settle(n_steps=200)
    bench.aggregator.close()
    models = plain_models(bench.artifact, [["ann", "bob"]] * 11, downlink=downlink)
    held = [bench.artifact.parameters, *(held for _, held in models)]
    told = manifests(bench)
    assert sorted(told) == list(range(1, 12))
    for number, manifest in told.items():
        data = held[number - 1].astype("<f4").tobytes()
        assert manifest.model == BlobRef(hashlib.sha256(data).digest(), len(data))
        spans = {min(span, number - 1) for span in (1, 8, 64)} - {0}
        ways = [way.n_rounds for way in manifest.catch_up]
        assert ways == sorted(spans)[: len(ways)]  # as long as they are smaller than the model
        assert bool(ways) == (downlink != "none" and number > 1)
    registry = open_registry(bench.folder / "state")
    assert registry.parameters(registry.latest()).tobytes() == models[-1][0].tobytes()
    assert len(list((bench.folder / "state" / "held").iterdir())) == (downlink != "none")


def test_updates_of_different_codecs_are_counted_in_one_round(tmp_path: Path) -> None:
    """Payloads say themselves how they are encoded; the plan's codec is only what is asked for."""
    specs = {
        "ann": "none", "bob": "topk:0.1/sign", "cid": "topk:0.05/int8", "dan": "int8",
        "eve": "topk:0.2/float32", "fay": "eden:2",
    }  # fmt: skip
    artifact = softmax(n_in=100)

    def payload(artifact: Artifact, name: str, round_: int) -> bytes:
        return scripted_payload(artifact, name, round_, codec=specs[name])

    bench = Bench(tmp_path, artifact=artifact, rounds=2, wait_for=6, quorum=6)
    bench.add(*specs, payload=payload)
    bench.settle(n_steps=200)
    bench.aggregator.close()
    assert [device.accepted for device in bench.devices.values()] == [[1, 2]] * 6
    n = artifact.n_trainable
    want = artifact.parameters[:n].copy()
    for round_ in (1, 2):
        payloads = [payload(artifact, name, round_) for name in sorted(specs)]
        shares = [codecs.read_header(one).n_examples for one in payloads]
        want += mean_of_payloads(shares, payloads, n)
    registry = open_registry(bench.folder / "state")
    assert registry.parameters(registry.latest())[:n].tobytes() == want.tobytes()


def test_a_latecomer_takes_part_in_the_open_round(tmp_path: Path) -> None:
    bench = Bench(tmp_path, wait_for=1, quorum=2, rounds=1)
    bench.add("ann")
    bench.settle()
    (bob,) = bench.add("bob")
    bench.settle()
    assert bob.accepted == [1]


def test_repeated_second_late_and_unknown_updates_are_told_apart(tmp_path: Path) -> None:
    bench = Bench(tmp_path, wait_for=2, quorum=2, rounds=5)
    ann, mute = bench.add("ann", "mute")
    bench.settle(n_steps=8)
    mute.send = lambda: None  # type: ignore[method-assign] # from now on it only listens
    bench.settle()
    assert ann.manifest is not None
    current = ann.manifest.round
    assert current > 1
    payload = scripted_payload(bench.artifact, "ann", current)
    ann.replies.clear()
    ann.send_payload(payload, current, scripted_nonce("ann", current))
    ann.send_payload(payload, current, b"another!")
    ann.send_payload(payload, 1, scripted_nonce("ann", 1))
    ann.send_payload(payload, 1, b"another!")
    ann.send_payload(payload, current + 1, b"another!")
    (eve,) = bench.add("eve")
    eve.send = lambda: None  # type: ignore[method-assign] # only what follows
    bench.settle()
    eve.send_payload(payload, 1, bytes(8))
    bench.settle()
    told = [getattr(reply, "reason", "accepted") for reply in ann.replies]
    assert told == ["accepted", "second", "accepted", "second", "unknown_round"]
    assert [refusal.reason for refusal in eve.refusals] == [Reason.LATE]
    assert rows(bench, "SELECT count(*) FROM update_ WHERE device = 'ann'") == [(current,)]


def test_an_update_for_another_run_of_the_job_is_refused_for_good(tmp_path: Path) -> None:
    bench = Bench(tmp_path, wait_for=1, quorum=2, rounds=1)
    (ann,) = bench.add("ann", chunk_bytes=8)
    ann.run = b"old."
    bench.settle()
    assert {refusal.reason for refusal in ann.refusals} == {Reason.OTHER_RUN}
    assert len(ann.refusals) == 2  # the first chunk and the last, however many there are
    assert "made for run 6f6c642e of the job" in ann.refusals[0].detail
    assert rows(bench, "SELECT count(*) FROM update_") == [(0,)]


def test_every_state_directory_draws_a_run_of_its_own_and_keeps_it(tmp_path: Path) -> None:
    runs = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        bench = Bench(tmp_path / name)
        runs.append(bench.aggregator._on.run)
        bench.kill()
        assert bench.begin()._on.run == runs[-1]
        bench.aggregator.close()
    assert [len(run) for run in runs] == [4, 4]
    assert runs[0] != runs[1]


def test_an_update_is_on_the_disk_before_it_is_acknowledged(tmp_path: Path) -> None:
    bench = Bench(tmp_path, wait_for=1, quorum=2, rounds=1)
    seen: list[int] = []

    def look(topic: str, payload: bytes) -> int:
        if topic.endswith("/ann/in"):
            seen.extend(n for (n,) in rows(bench, "SELECT count(*) FROM update_"))
        return 1

    bench.bus.copies = look
    bench.add("ann")
    bench.settle()
    assert seen == [1]


def test_lost_and_doubled_messages_change_nothing(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    bench = Bench(tmp_path, wait_for=2, quorum=2, rounds=3)
    bench.bus.copies = lambda topic, payload: (
        int(rng.integers(0, 3)) if "/up/" in topic or topic.endswith("/in") else 1
    )
    ann, bob = bench.add("ann", "bob", chunk_bytes=16)
    for _ in range(200):
        if ann.has_finished() and bob.has_finished():
            break
        bench.wait(1)
    bench.aggregator.close()
    registry = open_registry(bench.folder / "state")
    want = expected_parameters(bench, [["ann", "bob"]] * 3, "fedavg")
    assert registry.parameters(registry.latest()).tobytes() == want.astype("<f4").tobytes()
    assert rows(bench, "SELECT count(*), count(applied_in) FROM update_") == [(6, 6)]


@pytest.mark.parametrize("order", [("ann", "bob", "cid"), ("cid", "bob", "ann")])
def test_the_model_does_not_depend_on_arrival_order(tmp_path: Path, order: tuple[str, ...]) -> None:
    bench = Bench(tmp_path, wait_for=3, quorum=3, rounds=2)
    bench.add(*order)
    bench.settle()
    bench.aggregator.close()
    registry = open_registry(bench.folder / "state")
    want = expected_parameters(bench, [["ann", "bob", "cid"]] * 2, "fedavg")
    assert registry.parameters(registry.latest()).tobytes() == want.astype("<f4").tobytes()


def test_devices_are_told_between_rounds_that_nothing_is_wanted(tmp_path: Path) -> None:
    bench = Bench(tmp_path, wait_for=2, quorum=1, rounds=5)
    ann, bob = bench.add("ann", "bob")
    bench.settle(n_steps=4)
    bob._transport.kill()  # type: ignore[attr-defined] # its process is gone
    bench.devices.pop("bob")
    bench.settle()
    bench.wait(CALM_S)
    assert ann.manifest is not None
    assert ann.manifest.state is RoundState.CLOSED


def test_after_the_broker_has_forgotten_all_devices_learn_the_round_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path, wait_for=2, quorum=2, rounds=3)
    ann, bob = bench.add("ann", "bob")
    bench.settle(n_steps=2)
    bench.bus.restart()
    bench.settle()
    assert ann.accepted[-1] == bob.accepted[-1] == 3
    assert rows(bench, "SELECT count(*), count(applied_in) FROM update_") == [(6, 6)]


def test_updates_that_wait_together_share_one_commit(tmp_path: Path) -> None:
    bench = Bench(tmp_path, wait_for=1, quorum=100, rounds=1)
    bench.add("ann")
    bench.settle()
    sender, topics = bench.bus.transport("sender"), Topics("default")
    sender.start()
    for number in range(30):
        name = f"d{number}"
        payload = scripted_payload(bench.artifact, name, 1)
        (chunk,) = split_update(payload, bench.aggregator._on.run, RoundId(1), bytes(8))
        sender.publish(topics.up("default", name, 1), chunk.to_bytes())
    commits: list[str] = []
    bench.aggregator._on.store._db.set_trace_callback(
        lambda text: commits.append(text) if text == "COMMIT" else None
    )
    bench.aggregator.step()
    assert len(commits) == 1
    assert rows(bench, "SELECT count(*) FROM update_") == [(31,)]


def test_time_without_a_link_does_not_count_against_the_devices(tmp_path: Path) -> None:
    bench = Bench(tmp_path, wait_for=2, quorum=1, rounds=1, deadline_s=30)
    ann, mute = bench.add("ann", "mute")
    mute.send = lambda: None  # type: ignore[method-assign] # it only listens
    bench.settle()
    bench.wait(20)
    bench.bus.cut(bench.transport)
    bench.settle()
    bench.wait(1000)
    bench.bus.join(bench.transport)
    bench.wait(9)
    assert not ann.has_finished()
    bench.wait(30)
    assert ann.has_finished()


def test_devices_learn_that_the_aggregator_is_there_and_when_it_goes(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.settle()
    topic = Topics("default").aggregator_state("aggregator")
    here = AggregatorState.from_bytes(bench.bus.retained[topic])
    bench.aggregator.close()
    gone = AggregatorState.from_bytes(bench.bus.retained[topic])
    assert (here.presence, gone.presence) == (Presence.ONLINE, Presence.OFFLINE)
    assert here.instance == gone.instance
