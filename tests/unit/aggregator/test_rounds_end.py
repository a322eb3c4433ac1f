"""A round always ends, and says whom it waited for: one test for each way in which it did not."""

import json
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedge.aggregator import open_registry
from fedge.messages import DeviceState, Followed, Presence, RoundManifest, Skipped, Topics
from fedge.rounds import CALM_S
from fedge.types import JobId, RoundId
from tests.support.aggregator_by_hand import Bench
from tests.support.laws import check_laws
from tests.support.plain import plain_models
from tests.support.scripted import ScriptedDevice, scripted_nonce, scripted_payload

MANIFEST = Topics("default").round("default")


def state_topic(device: str) -> str:
    return Topics("default").device_state(device)


def a_state(device: str, **changes: Any) -> bytes:
    state = DeviceState(
        presence=Presence.ONLINE, instance=ScriptedDevice.instance_of(device), software="x"
    )
    return replace(state, **changes).to_bytes()


def say(bench: Bench, device: str, payload: bytes) -> None:
    bench.bus.deliver("eve", state_topic(device), payload, retain=True)


def events(bench: Bench, kind: str = "round") -> list[dict[str, Any]]:
    lines = map(json.loads, (bench.folder / "events.jsonl").read_text().splitlines())
    return [line for line in lines if line["event"] == kind]


def told(bench: Bench) -> RoundManifest:
    return RoundManifest.from_bytes(bench.bus.retained[MANIFEST])


def mute(device: ScriptedDevice) -> None:
    """It listens and sends nothing."""
    device.send = lambda: None  # type: ignore[method-assign] # the test's own


def beside_a_mute(folder: Path, **settings: Any) -> tuple[Bench, ScriptedDevice, ScriptedDevice]:
    """A round that ann has answered and bob listens to in silence."""
    bench = Bench(folder, wait_for=2, **settings)
    ann, bob = bench.add("ann", "bob")
    mute(bob)
    bench.settle()
    return bench, ann, bob


def save(bench: Bench) -> Path:
    copy = bench.folder / "saved"
    shutil.copytree(bench.folder / "state", copy)
    return copy


def put_back(bench: Bench, copy: Path) -> None:
    """The aggregator's machine is restored from a backup, and starts again."""
    bench.kill()
    shutil.rmtree(bench.folder / "state")
    shutil.copytree(copy, bench.folder / "state")
    bench.begin()


def accepted_rows(bench: Bench) -> list[tuple[int, str]]:
    with sqlite3.connect(bench.folder / "state" / "state.sqlite3") as db:
        return db.execute("SELECT round, device FROM update_ ORDER BY round, device").fetchall()


# -- an aggregator that was put back to an older state


@pytest.fixture
def saved_a_round_ago(tmp_path: Path) -> Iterator[tuple[Bench, Path]]:
    """Rounds 1 and 2 are closed; the copy is from when round 2 had just been opened."""
    bench = Bench(tmp_path, rounds=9, wait_for=2, quorum=2)
    ann, bob = bench.add("ann", "bob")
    while ann.accepted != [1]:
        bench.settle(n_steps=1)
    copy = save(bench)
    while 2 not in ann.accepted or 2 not in bob.accepted:
        bench.settle(n_steps=1)
    yield bench, copy
    bench.aggregator.close()


def test_one_put_back_learns_from_what_the_broker_retains(
    saved_a_round_ago: tuple[Bench, Path], caplog: pytest.LogCaptureFixture
) -> None:
    bench, copy = saved_a_round_ago
    before = told(bench)
    put_back(bench, copy)
    bench.settle(n_steps=8)
    assert told(bench).sequence > before.sequence
    assert told(bench).round > before.round
    assert "was restored to an older state" in caplog.text
    (event,) = events(bench, "put_back")
    assert (event["round"], event["sequence"]) == (before.round, before.sequence)
    bench.settle()
    assert bench.devices["ann"].has_finished()
    check_laws(bench.folder / "state")


def test_one_put_back_learns_from_a_device_if_the_broker_has_forgotten(tmp_path: Path) -> None:
    bench = Bench(tmp_path, rounds=3, wait_for=1)
    bench.settle()
    run = bench.aggregator._on.run
    seen = Followed(run, RoundId(7), 19, is_answered=True)
    say(bench, "ann", a_state("ann", job=JobId("default"), followed=seen))
    bench.settle(n_steps=2)
    assert (told(bench).round, told(bench).sequence) == (8, 20)
    bench.add("ann")
    bench.settle()
    assert bench.devices["ann"].accepted == [8, 9, 10]  # three rounds, whatever their numbers
    assert bench.devices["ann"].has_finished()


@pytest.mark.parametrize(
    ("number", "sequence"),
    [(2**31 - 1, 2**63 - 1), (2, 2**63 - 1), (2**31 - 1, 5), (100_001, 5), (5, 1_000_001)],
)
@pytest.mark.parametrize("retained", [False, True])
def test_numbers_that_no_job_can_have_reached_are_not_believed(
    tmp_path: Path, number: int, sequence: int, *, retained: bool
) -> None:
    """Neither of a device nor of what lies on the job's own topic."""
    bench = Bench(tmp_path, rounds=1, wait_for=1)
    bench.settle()
    run = bench.aggregator._on.run
    seen = Followed(run, RoundId(number), sequence, is_answered=False)
    forged = a_state("eve", followed=seen)
    say(bench, "eve", forged)
    bench.settle()
    assert (told(bench).round, told(bench).sequence) == (1, 1)
    if retained:
        manifest = replace(told(bench), round=RoundId(number), sequence=sequence)
        bench.bus.deliver("eve", MANIFEST, manifest.to_bytes(), retain=True)
        bench.settle()
        assert bench.aggregator._job.sequence == 1
    else:
        (ann,) = bench.add("ann")
        bench.settle()
        assert ann.accepted == [1]


def test_a_flood_of_made_up_numbers_costs_one_round_a_deadline(tmp_path: Path) -> None:
    bench = Bench(tmp_path, rounds=1, wait_for=1, deadline_s=30)
    bench.settle()
    run = bench.aggregator._on.run
    for number in range(2, 60):
        seen = Followed(run, RoundId(number), 10 * number, is_answered=False)
        say(bench, "eve", a_state("eve", presence=Presence.OFFLINE, followed=seen))
        bench.settle()
    assert len(events(bench, "put_back")) == 1
    (ann,) = bench.add("ann")
    bench.settle()
    assert ann.has_finished()


def test_what_an_aggregator_put_back_had_accepted_is_counted_once(tmp_path: Path) -> None:
    """It was saved with one of two updates in; the round is done again and keeps that one."""
    bench, ann, bob = beside_a_mute(tmp_path, rounds=1, quorum=2)
    assert accepted_rows(bench) == [(1, "ann")]
    copy = save(bench)
    seen = Followed(bench.aggregator._on.run, RoundId(4), 9, is_answered=True)
    put_back(bench, copy)
    say(bench, "bob", a_state("bob", followed=seen))
    del bob.send  # it can speak again
    bench.settle()
    assert accepted_rows(bench) == [(1, "ann"), (5, "ann"), (5, "bob")]
    assert ann.has_finished()
    registry = open_registry(bench.folder / "state")
    payloads = [
        scripted_payload(bench.artifact, device, round_)
        for device, round_ in (("ann", 1), ("ann", 5), ("bob", 5))
    ]
    got = registry.parameters(registry.latest())
    np.testing.assert_allclose(got, mean_model(bench, payloads), rtol=1e-6)
    # A late repeat of the update of round 1 is known, and changes nothing.
    ann.send_payload(payloads[0], 1, scripted_nonce("ann", 1))
    bench.settle()
    assert accepted_rows(bench) == [(1, "ann"), (5, "ann"), (5, "bob")]


def mean_model(bench: Bench, payloads: list[bytes]) -> np.ndarray:
    """The first model and the mean of these deltas, weighted by their examples, in float64."""
    from fedge import codecs  # noqa: PLC0415 - the formula stands here as it is in the paper

    decoded = [(codecs.read_header(one).n_examples, codecs.decode(one).values) for one in payloads]
    total = sum(n for n, _ in decoded)
    start = bench.artifact.parameters[: bench.artifact.n_trainable].astype(np.float64)
    mean = sum(n * values.astype(np.float64) for n, values in decoded) / total
    result: np.ndarray = start + mean
    return result


def test_a_round_that_devices_have_answered_and_nobody_knows_of_is_done_again(
    tmp_path: Path,
) -> None:
    """Saved before its updates came: the devices have answered and have nothing left to send."""
    bench = Bench(tmp_path, rounds=1, wait_for=2, quorum=2)
    ann, bob = bench.add("ann", "bob")
    mute(ann)
    mute(bob)
    bench.settle()
    run = bench.aggregator._on.run
    for device in (ann, bob):
        seen = Followed(run, RoundId(1), told(bench).sequence, is_answered=True)
        say(bench, device.name, a_state(device.name, followed=seen))
    bench.settle()
    bench.wait(CALM_S)
    del ann.send, bob.send
    bench.wait(1)
    assert accepted_rows(bench) == [(2, "ann"), (2, "bob")]
    (event,) = events(bench, "round_given_up")
    assert {one["device"] for one in event["missing"]} == {"ann", "bob"}


# -- refusals for good


def test_a_device_refused_for_good_is_not_waited_for(tmp_path: Path) -> None:
    bench = Bench(tmp_path, rounds=1, wait_for=2, max_examples=50)
    bench.add("ann", payload=lambda *a: scripted_payload(*a, n_examples=10))
    bench.add("fat", payload=lambda *a: scripted_payload(*a, n_examples=51))
    bench.settle()
    assert bench.devices["ann"].has_finished()
    (event,) = events(bench)
    (missing,) = event["missing"]
    assert missing["device"] == "fat"
    assert missing["reason"] == "refused: examples: expected at most 50, found 51"


def test_alone_it_is_asked_again_and_goes_on_when_the_cap_is_raised(tmp_path: Path) -> None:
    bench = Bench(tmp_path, rounds=1, wait_for=1, max_examples=50, deadline_s=30)
    (fat,) = bench.add("fat", payload=lambda *a: scripted_payload(*a, n_examples=51))
    bench.settle()
    assert fat.accepted == []
    bench.kill()
    bench.settings["max_examples"] = 60
    aggregator = bench.begin()
    seen = Followed(aggregator._on.run, told(bench).round, told(bench).sequence, is_answered=True)
    say(bench, "fat", a_state("fat", followed=seen))
    for _ in range(4):
        bench.wait(15)
    assert fat.has_finished()


def test_no_message_of_a_device_ends_a_job(tmp_path: Path) -> None:
    bench = Bench(tmp_path, rounds=2, wait_for=1, deadline_s=10)
    (sick,) = bench.add("sick")
    sick.is_able = False
    for _ in range(20):
        bench.wait(5)
    assert (
        len(events(bench, "round_given_up")) <= 14
    )  # not all at once: after three, one a deadline
    sick.is_able = True
    for _ in range(4):
        bench.wait(5)
    assert sick.has_finished()


# -- settings that were changed


def test_the_quorum_is_that_of_the_settings_also_for_the_open_round(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench(tmp_path, rounds=1, wait_for=1, quorum=3, deadline_s=30)
    (ann,) = bench.add("ann")
    bench.settle()
    bench.kill()
    bench.settings["quorum"] = 1
    bench.begin()
    bench.settle()
    assert ann.has_finished()
    assert "round 1 continues with changed settings: quorum 3 -> 1" in caplog.text


def test_a_changed_plan_reopens_the_round_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bench, ann, bob = beside_a_mute(tmp_path, rounds=1, quorum=2, local_steps=5)
    before = told(bench)
    bench.kill()
    bench.settings["local_steps"] = 20
    bench.begin()
    bench.settle()
    after = told(bench)
    assert (after.round, after.plan.local_steps) == (before.round, 20)
    assert after.sequence > before.sequence
    assert "local_steps 5 -> 20" in caplog.text
    assert ann.accepted == [1]  # what was accepted under the old plan stays accepted
    del bob.send
    bench.settle()
    bench.wait(1)
    assert bob.has_finished()


# -- ghosts


def test_a_ghost_costs_a_few_rounds_their_deadline_and_then_nothing(tmp_path: Path) -> None:
    bench = Bench(tmp_path, rounds=6, wait_for=1, deadline_s=30, max_missed=2)
    say(bench, "ghost", a_state("ghost"))  # its power went, and the broker's with it
    (ann,) = bench.add("ann")
    bench.settle()
    bench.wait(31)
    assert ann.accepted == [1, 2]
    bench.wait(31)
    assert ann.has_finished()
    reasons = [event["missing"] for event in events(bench)]
    assert reasons == [[{"device": "ghost", "reason": "silent"}]] * 2 + [[]] * 4


def test_a_ghost_is_known_after_a_restart(tmp_path: Path) -> None:
    bench = Bench(tmp_path, rounds=6, wait_for=1, deadline_s=30, max_missed=1)
    say(bench, "ghost", a_state("ghost"))
    bench.add("ann")
    bench.settle()
    bench.wait(31)
    bench.aggregator.close()
    bench.settings["rounds"] = 8
    bench.begin()
    bench.settle()
    assert bench.devices["ann"].has_finished()
    assert len(events(bench)) == 8


def test_a_ghost_that_speaks_is_a_device_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path, rounds=3, wait_for=1, deadline_s=30, max_missed=1)
    say(bench, "late", a_state("late"))
    (ann,) = bench.add("ann")
    mute(ann)
    bench.settle()
    bench.wait(31)  # nobody has answered: below the quorum, and both are given up
    del ann.send
    (late,) = bench.add("late")
    bench.wait(1)
    bench.wait(31)
    assert (ann.accepted, late.accepted) == ([1, 2, 3], [2, 3])


def test_a_state_cleared_by_hand_means_gone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench(tmp_path, rounds=1, wait_for=2, deadline_s=30)
    say(bench, "ghost", a_state("ghost"))
    (ann,) = bench.add("ann")
    bench.settle()
    assert not ann.has_finished()
    say(bench, "ghost", b"")
    bench.settle()
    bench.wait(CALM_S)
    assert ann.has_finished()
    assert "CBOR" not in caplog.text


# -- several jobs


def test_a_device_of_another_job_is_not_waited_for(tmp_path: Path) -> None:
    bench = Bench(tmp_path, rounds=1, wait_for=1)
    say(bench, "other", a_state("other", job=JobId("gait")))
    bench.add("ann")
    bench.settle()
    assert bench.devices["ann"].has_finished()


# -- the deadline


def test_reconnecting_does_not_start_the_deadline_anew(tmp_path: Path) -> None:
    bench, ann, _bob = beside_a_mute(tmp_path, rounds=1, deadline_s=10)
    for _ in range(6):
        bench.wait(1.9)
        bench.bus.cut(bench.transport)
        bench.settle()
        bench.bus.join(bench.transport)
        bench.settle()
    assert ann.has_finished()


def test_restarting_does_not_start_the_deadline_anew(tmp_path: Path) -> None:
    bench, ann, _bob = beside_a_mute(tmp_path, rounds=1, deadline_s=100)
    for _ in range(12):
        bench.wait(10)
        if ann.has_finished():
            break
        bench.kill()
        bench.time.now_s += 1000  # while it is down, nobody can answer
        bench.begin()
        bench.settle()
    assert ann.has_finished()


def test_a_goodbye_while_the_aggregator_was_down_is_one(tmp_path: Path) -> None:
    bench, ann, _bob = beside_a_mute(tmp_path, rounds=1, deadline_s=30)
    bench.kill()
    say(bench, "bob", a_state("bob", presence=Presence.OFFLINE))
    bench.devices.pop("bob")
    bench.begin()
    bench.settle()
    bench.wait(CALM_S)
    assert ann.has_finished()


@pytest.mark.parametrize(("enough", "grace_s"), [("2", 0.0), ("60%", 0.0), ("2", 5.0)])
def test_enough_updates_end_a_round_before_its_deadline(
    tmp_path: Path, enough: str, grace_s: float
) -> None:
    bench = Bench(
        tmp_path, rounds=3, wait_for=3, deadline_s=30, close_after=enough, close_grace_s=grace_s
    )
    ann, _, cid = bench.add("ann", "bob", "cid")
    mute(cid)
    bench.settle()
    for _ in range(3):
        assert ann.has_finished() == (grace_s == 0)
        bench.wait(grace_s)
        if grace_s == 0:
            break
    assert ann.has_finished()
    assert [event["missing"][0]["device"] for event in events(bench)] == ["cid"] * 3


def test_the_line_of_a_round_names_who_is_missing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    bench, _, _bob = beside_a_mute(tmp_path, rounds=1, deadline_s=30)
    bench.wait(31)
    assert "1 of 2 devices" in caplog.text
    assert "missing bob (silent)" in caplog.text


def test_below_the_quorum_one_line_says_who_is_missing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bench, _, _bob = beside_a_mute(tmp_path, rounds=1, quorum=2, deadline_s=30)
    bench.wait(31)
    assert (
        "deadline reached with 1 of 2 updates needed; still waiting; missing bob (silent)"
        in caplog.text
    )


# -- messages that anybody can send


def test_a_forged_goodbye_does_not_close_a_round_early(tmp_path: Path) -> None:
    bench, ann, bob = beside_a_mute(tmp_path, rounds=1, deadline_s=30)
    for forged in (
        a_state("bob", presence=Presence.OFFLINE),
        a_state("bob", skipped=Skipped(bench.aggregator._on.run, RoundId(1), "forged")),
        b"",
    ):
        say(bench, "bob", forged)
        bench.settle()
        bob.be_born()  # as a device does that reads such a thing of itself
        bench.wait(CALM_S)
        assert not ann.has_finished()


def test_made_up_births_are_not_all_waited_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench(tmp_path, rounds=1, wait_for=1, deadline_s=30, max_devices=5)
    for index in range(50):
        say(bench, f"d{index}", a_state(f"d{index}"))
    bench.settle()
    round_ = bench.aggregator._job.round
    assert round_ is not None
    assert len(round_.expected) == 5
    assert "more than 5 devices are online" in caplog.text


def test_the_model_of_a_quiet_job_is_as_ever(tmp_path: Path) -> None:
    bench = Bench(tmp_path, rounds=3, wait_for=2, quorum=2)
    bench.add("ann", "bob")
    bench.settle()
    registry = open_registry(bench.folder / "state")
    want = plain_models(bench.artifact, [["ann", "bob"]] * 3, strategy="fedavg")[-1][0]
    assert registry.parameters(registry.latest()).tobytes() == want.astype("<f4").tobytes()
