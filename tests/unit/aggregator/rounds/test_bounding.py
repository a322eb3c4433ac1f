"""No update moves the model more than its cohort's others do, and none can stop a round."""

import json
import logging
import sqlite3
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from fedge.artifact import Artifact
from fedge.types import DeviceId, RoundId
from tests.support.aggregator_by_hand import Bench
from tests.support.sent_values import Payload, events, moved, sending

HONEST = ("ann", "bob", "cid")


def play(folder: Path, deltas: Mapping[str, float], **settings: object) -> Bench:
    names = (*HONEST, *deltas)
    bench = Bench(folder, wait_for=len(names), quorum=len(names), **{"rounds": 1, **settings})  # type: ignore[arg-type] # no artifact
    bench.add(*names, payload=sending(deltas))
    bench.settle(n_steps=100)
    return bench


@pytest.mark.parametrize("bound", [None, 2.0])
def test_an_update_of_1e30_is_dropped_by_name_and_the_round_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, bound: float | None
) -> None:
    bench = play(tmp_path, {"eve": 1e30}, norm_bound=bound)
    (event,) = events(bench)
    assert (event["devices_accepted"], event["devices_dropped"]) == (4, 1)
    (dropped,) = event["dropped"]
    assert dropped["device"] == "eve"
    assert dropped["reason"] == "its norm 3e+30 is above 1e+18"  # nine parameters
    assert "round 1: the update of device eve was dropped: its norm 3e+30" in caplog.text
    assert bench.aggregator.report()["devices_dropped"] == 1
    assert bench.devices["eve"].accepted == [1]  # what it was told stands
    np.testing.assert_allclose(moved(bench), 1, rtol=1e-6)  # the mean of the three


def test_an_absurd_update_is_dropped_and_a_long_one_scaled_down(tmp_path: Path) -> None:
    bench = play(tmp_path, {"dan": 4.0, "eve": 21.0})
    (event,) = events(bench)
    assert (event["norm_median"], event["norm_bound"]) == (3.0, 6.0)  # nine parameters of 1
    assert event["dropped"] == [{"device": "eve", "reason": "its norm 63 is far above the bound 6"}]
    assert (event["devices_clipped"], event["clipped"]) == (1, [{"device": "dan", "norm": 12.0}])
    # Three of 1 and one of 2, as far as the bound lets it.
    np.testing.assert_allclose(moved(bench), 5 / 4, rtol=1e-6)


def test_switched_off_it_counts_every_finite_delta_as_it_is(tmp_path: Path) -> None:
    bench = play(tmp_path, {"eve": 1e6}, norm_bound=None)
    (event,) = events(bench)
    assert (event["devices_dropped"], event["devices_clipped"]) == (0, 0)
    assert event["norm_bound"] is None
    np.testing.assert_allclose(moved(bench), (3 + 1e6) / 4, rtol=1e-6)


def test_139_rounds_of_3e38_make_139_models_without_it(tmp_path: Path) -> None:
    names = (*HONEST, "eve")
    bench = Bench(tmp_path, wait_for=4, quorum=4, rounds=139)
    bench.add(*names, payload=sending({"eve": 3e38}))
    bench.settle(n_steps=4000)
    reports = events(bench)
    assert len(reports) == 139
    assert all(one["dropped"][0]["device"] == "eve" for one in reports)
    assert not any("note" in one for one in reports)
    np.testing.assert_allclose(moved(bench), 139, rtol=1e-5)


def test_a_device_cannot_buy_the_median_with_examples(tmp_path: Path) -> None:
    names = (*HONEST, "eve")
    honest, hostile = sending({}), sending({"eve": 1e3}, n_examples=10_000_000)
    bench = Bench(tmp_path, wait_for=4, quorum=4, rounds=1)
    bench.add(*names, payload=lambda *about: (hostile if about[1] == "eve" else honest)(*about))
    bench.settle(n_steps=100)
    np.testing.assert_allclose(moved(bench), 1, rtol=1e-6)


def weighing(examples: Mapping[str, int], deltas: Mapping[str, float]) -> Payload:
    """Deltas of 1 on 10 examples, but for these."""

    def payload(artifact: Artifact, name: str, round_: int) -> bytes:
        return sending(deltas, n_examples=examples.get(name, 10))(artifact, name, round_)

    return payload


def test_a_huge_weight_counts_three_times_the_median(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    bench = Bench(tmp_path, wait_for=4, quorum=4, rounds=1)
    bench.add(*HONEST, "eve", payload=weighing({"eve": 10_000_000, "cid": 12}, {"eve": -1.0}))
    bench.settle(n_steps=100)
    (event,) = events(bench)
    assert (event["examples_median"], event["examples_bound"]) == (10, 30)  # of 10 10 12 10**7
    assert (event["devices_capped"], event["capped"]) == (
        1, [{"device": "eve", "examples": 10_000_000}],
    )  # fmt: skip
    assert bench.aggregator.report()["devices_capped"] == 1
    assert "1 updates claim more examples than the 30 that one may count for: eve" in caplog.text
    np.testing.assert_allclose(moved(bench), (10 + 10 + 12 - 30) / 62, rtol=1e-5)


def test_two_hostile_devices_of_ten_that_claim_ten_million_examples_do_not_win(
    tmp_path: Path,
) -> None:
    """Eight of 1 on 10 examples against two of -1 on 30; uncapped, the model went to -1."""
    names = [f"honest-{number}" for number in range(8)]
    hostile = {"eve": 10_000_000, "mal": 10_000_000}
    for folder, bound, want in (("a", 3.0, (80 - 60) / 140), ("b", None, -1.0)):
        (tmp_path / folder).mkdir()
        bench = Bench(tmp_path / folder, wait_for=10, quorum=10, rounds=1, weight_bound=bound)
        bench.add(*names, *hostile, payload=weighing(hostile, {"eve": -1.0, "mal": -1.0}))
        bench.settle(n_steps=200)
        np.testing.assert_allclose(moved(bench), want, rtol=1e-4)


def test_the_weight_of_a_device_that_is_dropped_has_no_vote(tmp_path: Path) -> None:
    """Of 10 10 10 the bound is 30; with the claims of those dropped it would be far above."""
    bench = Bench(tmp_path, wait_for=6, quorum=6, rounds=1)
    claims = {"dan": 10**6, "eve": 10**6, "fay": 10**6}
    bench.add(*HONEST, *claims, payload=weighing(claims, {"dan": 1e30, "eve": 1e30, "fay": 1e30}))
    bench.settle(n_steps=100)
    (event,) = events(bench)
    assert (event["examples_bound"], event["devices_capped"], event["devices_dropped"]) == (
        30,
        0,
        3,
    )


def test_one_of_two_devices_is_weighed_by_earlier_rounds_too(tmp_path: Path) -> None:
    """Claims of 10 and 10, twice; then 500 and 900, which have three times 10 between them."""

    def payload(artifact: Artifact, name: str, round_: int) -> bytes:
        claims = {} if round_ < 3 else {"ann": 500, "bob": 900}
        return weighing(claims, {})(artifact, name, round_)

    bench = Bench(tmp_path, wait_for=2, quorum=2, rounds=3)
    bench.add("ann", "bob", payload=payload)
    bench.settle(n_steps=100)
    assert [one["examples_bound"] for one in events(bench)] == [30, 30, 30]
    assert [one["devices_capped"] for one in events(bench)] == [0, 0, 2]


def test_switched_off_every_claim_counts(tmp_path: Path) -> None:
    bench = Bench(tmp_path, wait_for=4, quorum=4, rounds=1, weight_bound=None)
    bench.add(*HONEST, "eve", payload=weighing({"eve": 1000}, {"eve": 2.0}))
    bench.settle(n_steps=100)
    (event,) = events(bench)
    assert (event["examples_median"], event["examples_bound"]) == (10, None)
    np.testing.assert_allclose(moved(bench), (30 + 2000) / 1030, rtol=1e-5)


def test_a_device_alone_is_measured_by_its_own_rounds_before(tmp_path: Path) -> None:
    """Nothing but the finite bounds the first one; then a jump is cut down to twice the median."""
    steps = {1: 1.0, 2: 1.0, 3: 10.0, 4: 1e9}

    def payload(artifact: Artifact, name: str, round_: int) -> bytes:
        return sending({name: steps[round_]})(artifact, name, round_)

    bench = Bench(tmp_path, rounds=4)
    bench.add("ann", payload=payload)
    bench.settle(n_steps=100)
    reports = events(bench)
    assert [one["devices_clipped"] for one in reports] == [0, 0, 1, 0]
    assert [one["devices_dropped"] for one in reports] == [0, 0, 0, 1]
    assert reports[3]["note"] == "no update could be counted: the model stays as it was"
    np.testing.assert_allclose(moved(bench), 1 + 1 + 2, rtol=1e-6)


def test_killed_before_it_closes_a_round_makes_the_same_bits(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Norms are not kept: the next process takes them again from the bytes."""
    caplog.set_level(logging.WARNING)
    deltas = {"dan": 4.25, "eve": 1e30}
    (tmp_path / "a").mkdir()
    undisturbed = play(tmp_path / "a", deltas)
    (tmp_path / "b").mkdir()
    bench = Bench(tmp_path / "b", wait_for=5, quorum=6, rounds=1)
    bench.add(*HONEST, *deltas, payload=sending(deltas))
    bench.settle(n_steps=100)
    bench.kill()
    bench.begin()
    bench.aggregator._job.combiner.norms[DeviceId("nobody"), RoundId(1)] = 1.0  # of no cohort
    bench.settle()
    bench.add("fay", payload=sending({"fay": 1.0}))
    bench.settle(n_steps=100)
    (before,), (after,) = events(undisturbed), events(bench)
    for field in ("clipped", "norm_bound", "norm_median"):
        assert before[field] == after[field]
    assert [one["device"] for one in after["dropped"]] == ["eve"]
    np.testing.assert_allclose(moved(bench), (1 + 1 + 1 + 2 + 1) / 5, rtol=1e-6)


def test_honest_updates_that_differ_threefold_all_count_in_full_or_by_the_bound(
    tmp_path: Path,
) -> None:
    bench = play(tmp_path, {"dan": 0.4, "eve": 1.9})
    (event,) = events(bench)
    assert (event["devices_dropped"], event["devices_clipped"]) == (0, 0)
    np.testing.assert_allclose(moved(bench), (3 + 0.4 + 1.9) / 5, rtol=1e-6)


def test_an_event_of_before_the_bound_has_no_median_and_counts_nothing(tmp_path: Path) -> None:
    bench = play(tmp_path, {}, rounds=2)
    bench.aggregator.close()
    with sqlite3.connect(tmp_path / "state" / "state.sqlite3") as db:
        (report,) = db.execute("SELECT report FROM round WHERE round = 1").fetchone()
        old = {key: value for key, value in json.loads(report).items() if "median" not in key}
        old = {key: value for key, value in old.items() if key != "devices_dropped"}
        db.execute("UPDATE round SET report = ? WHERE round = 1", (json.dumps(old),))
    again = bench.begin()
    assert again.report()["devices_dropped"] == 0
    assert again._on.store.medians("norm", 3) == [3.0]
    again.close()
