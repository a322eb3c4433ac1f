"""A device that attacks is put aside and released once it behaves; what is by hand stands."""

import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fedge.aggregator.state.by_hand import decide_by_hand, leave_to_rule, standings
from fedge.artifact import Artifact
from fedge.errors import StorageError
from fedge.types import DeviceId
from tests.support.aggregator_by_hand import Bench
from tests.support.laws import check_laws
from tests.support.sent_values import Payload, events, moved, sending

HONEST = ("ann", "bob", "cid", "dan", "fay")
EVE = DeviceId("eve")


def attacking(until: int, *names: str, value: float = -10.0) -> Payload:
    """These devices send ten times the opposite up to this round, then what all others send."""

    def payload(artifact: Artifact, name: str, round_: int) -> bytes:
        hostile = dict.fromkeys(names or ("eve",), value) if round_ <= until else {}
        return sending(hostile)(artifact, name, round_)

    return payload


def a_fleet(folder: Path, payload: Payload, *more: str, **settings: object) -> Bench:
    names = (*HONEST, "eve", *more)
    folder.mkdir(exist_ok=True)
    bench = Bench(
        folder, wait_for=len(names), quorum=len(names),
        **{"quarantine_rounds": 2, **settings},  # type: ignore[arg-type] # no artifact
    )  # fmt: skip
    bench.add(*names, payload=payload)
    return bench


def decide(bench: Bench, device: str, *, is_out: bool) -> None:
    """Another process does, while the aggregator is running."""
    decide_by_hand(
        bench.folder / "state", DeviceId(device), is_out=is_out, reason="I say so", since="today"
    )


def out_in(bench: Bench) -> list[list[str]]:
    """Round by round, whose update did not count."""
    return [[one["device"] for one in event["quarantined"]] for event in events(bench)]


def test_an_attacker_is_out_after_three_rounds_and_back_after_two_clean_ones(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Five send 1; eve sends -10, shortened to -2, up to round 5, and 1 from then on."""
    caplog.set_level(logging.INFO)
    bench = a_fleet(tmp_path, attacking(5), rounds=8)
    bench.settle(n_steps=400)
    reports = events(bench)
    assert [[one["device"] for one in event["suspect"]] for event in reports] == [["eve"]] * 5 + [
        []
    ] * 3
    why = "suspect in 3 of its last 5 rounds, now with a norm 10 times the median, "
    why += "a cosine of -1.00 with the others"
    assert [event["quarantine_began"] for event in reports[:4]] == [
        [], [], [{"device": "eve", "reason": why}], [],
    ]  # fmt: skip
    assert out_in(bench) == [[], [], [], ["eve"], ["eve"], ["eve"], ["eve"], []]
    assert reports[3]["quarantined"] == [{"device": "eve", "by": "rule", "since": 3, "reason": why}]
    assert [event["quarantine_ended"] for event in reports] == [[]] * 6 + [["eve"], []]
    assert f"round 3: device eve is in quarantine from now on: {why}" in caplog.text
    assert "round 4: in quarantine, so not counted: eve (by rule, round 3)" in caplog.text
    assert "round 7: no longer in quarantine: eve" in caplog.text
    np.testing.assert_allclose(moved(bench), 3 * (5 - 2) / 6 + 5 * 1, rtol=1e-6)


def test_in_quarantine_it_is_answered_and_nobody_waits_or_resends(tmp_path: Path) -> None:
    bench = a_fleet(tmp_path, attacking(99), rounds=6)
    bench.settle(n_steps=400)
    assert bench.devices["eve"].accepted == [1, 2, 3, 4, 5, 6]
    assert all(event["devices_accepted"] == 6 for event in events(bench))
    assert bench.aggregator.report()["devices_quarantined"] == 3
    assert bench.aggregator.report()["refused"] == 0


def test_what_was_found_is_counted_for_each_device(tmp_path: Path) -> None:
    bench = a_fleet(tmp_path, attacking(2), rounds=4)
    bench.settle(n_steps=400)
    bench.aggregator.close()
    by_name = {one.device: one for one in standings(tmp_path / "state")}
    eve, ann = by_name[EVE], by_name[DeviceId("ann")]
    assert eve.counts == {
        "round": 4, "n_rounds": 4, "n_suspect": 2, "n_long": 2, "n_opposed": 2, "n_lossy": 0,
        "n_dropped": 0, "n_clipped": 2, "n_capped": 0,
    }  # fmt: skip
    assert eve.score is not None
    assert (eve.score.norm, eve.score.cosine) == pytest.approx((1.0, 1.0))
    assert {name: n for name, n in ann.counts.items() if n} == {"round": 4, "n_rounds": 4}


def test_by_hand_while_it_runs_it_holds_from_the_round_that_closes_next(tmp_path: Path) -> None:
    """Bob is put aside while round 1 is open, let in after round 2 and left to the rule again."""
    bench = a_fleet(tmp_path, attacking(0), rounds=4)
    send = bench.devices["fay"].send
    turns: dict[int, Callable[[], object]] = {
        1: lambda: decide(bench, "bob", is_out=True),
        3: lambda: decide(bench, "bob", is_out=False),
        4: lambda: leave_to_rule(tmp_path / "state", DeviceId("bob")),
    }

    def after_the_turn() -> None:
        manifest = bench.devices["fay"].manifest
        turns.pop(manifest.round if manifest else 0, lambda: None)()
        send()

    bench.devices["fay"].send = after_the_turn  # type: ignore[method-assign] # the last one
    bench.settle(n_steps=400)
    assert out_in(bench) == [["bob"], ["bob"], [], []]
    (first, *_) = events(bench)
    assert first["quarantined"] == [
        {"device": "bob", "by": "hand", "since": 1, "reason": "I say so"}
    ]
    assert not turns
    assert all(one.decision is None for one in standings(tmp_path / "state"))


def test_the_rule_undoes_nothing_that_is_by_hand(tmp_path: Path) -> None:
    """Ann never attacks and stays out; eve always does and stays in."""
    bench = a_fleet(tmp_path, attacking(99), rounds=8)
    decide(bench, "ann", is_out=True)
    decide(bench, "eve", is_out=False)
    bench.settle(n_steps=400)
    assert out_in(bench) == [["ann"]] * 8
    assert not any(
        event["quarantine_began"] or event["quarantine_ended"] for event in events(bench)
    )


def test_everybody_out_by_hand_leaves_the_model_as_it_is(tmp_path: Path) -> None:
    bench = a_fleet(tmp_path, attacking(0), rounds=1)
    for name in (*HONEST, "eve"):
        decide(bench, name, is_out=True)
    bench.settle(n_steps=200)
    (event,) = events(bench)
    assert event["note"] == "no update could be counted: the model stays as it was"
    assert event["devices_quarantined"] == 6
    np.testing.assert_array_equal(moved(bench), 0)


def test_attackers_of_half_the_fleet_are_named_but_not_put_aside(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Five of ten: their median is the lower one, but the rule needs a majority to act."""
    hostile = ("eve", "mal", "ned", "oz", "pim")
    bench = a_fleet(tmp_path, attacking(9, *hostile), *hostile[1:], rounds=4)
    bench.settle(n_steps=600)
    assert out_in(bench) == [[]] * 4
    assert [event["quarantine_withheld"] for event in events(bench)[2:]] == [list(hostile)] * 2
    assert "suspect, but not put in quarantine, because that would leave too few" in caplog.text


def test_four_of_ten_that_act_together_get_nobody_but_themselves_expelled(tmp_path: Path) -> None:
    """They push against the others with all the length and weight that a round takes."""
    hostile = ("eve", "mal", "ned", "oz")

    def payload(artifact: Artifact, name: str, round_: int) -> bytes:
        n_examples = 10**7 if name in hostile else 1
        deltas = dict.fromkeys(hostile, -10.0)
        return sending(deltas, n_examples=n_examples)(artifact, name, round_)

    bench = a_fleet(tmp_path, payload, "gus", *hostile[1:], rounds=6)
    bench.settle(n_steps=600)
    reports = events(bench)
    assert all({one["device"] for one in event["suspect"]} == set(hostile) for event in reports)
    assert out_in(bench)[3:] == [list(hostile)] * 3


def test_switched_off_it_releases_whom_it_put_there_and_keeps_what_is_by_hand(
    tmp_path: Path,
) -> None:
    bench = a_fleet(tmp_path, attacking(99), rounds=4)
    bench.settle(n_steps=400)
    decide(bench, "ann", is_out=True)
    bench.aggregator.close()
    bench.settings |= {"quarantine_after": None, "rounds": 6}
    bench.begin()
    bench.settle(n_steps=400)
    assert out_in(bench)[3:] == [["eve"], ["ann", "eve"], ["ann"]]


@pytest.mark.parametrize("seed", range(3))
def test_killed_after_any_step_it_says_the_same_of_everybody(tmp_path: Path, seed: int) -> None:
    """No score is lost, none counts twice, and the models are those of an undisturbed run."""
    calm = a_fleet(tmp_path / "calm", attacking(4), rounds=7)
    calm.settle(n_steps=600)
    rng = np.random.default_rng(seed)
    bench = a_fleet(tmp_path / "killed", attacking(4), rounds=7)
    for _ in range(300):
        bench.settle(n_steps=int(rng.integers(1, 4)))
        if all(device.has_finished() for device in bench.devices.values()):
            break
        bench.kill()
        check_laws(bench.folder / "state")
        bench.begin()
        bench.time.now_s += 1  # so that devices send again
    assert bench.n_starts > 4
    assert out_in(bench) == out_in(calm)
    np.testing.assert_array_equal(moved(bench), moved(calm))
    assert standings(bench.folder / "state") == standings(calm.folder / "state")


def test_only_so_many_devices_are_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fedge.aggregator.state.verdict_table.MOST_DEVICES", 4)
    bench = a_fleet(tmp_path, attacking(0), rounds=1)
    bench.settle(n_steps=100)
    assert len(standings(tmp_path / "state")) == 4


def test_a_directory_of_an_earlier_format_is_not_changed_behind_its_aggregator(
    tmp_path: Path,
) -> None:
    Bench(tmp_path).aggregator.close()
    with sqlite3.connect(tmp_path / "state" / "state.sqlite3") as db:
        db.execute("PRAGMA user_version = 3")
    with pytest.raises(StorageError, match="is of format 3, and this release writes format 4"):
        standings(tmp_path / "state")
