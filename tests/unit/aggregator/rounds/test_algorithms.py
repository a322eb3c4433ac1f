"""Algorithms on what the store holds, and what devices are told of them."""

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedge.aggregator.models.model import load_model
from fedge.aggregator.rounds.fleet_examples import FleetExamples
from fedge.aggregator.state.folder import StateFolder
from fedge.errors import ConfigError
from fedge.messages import Facts, RoundState, ServerRef, ServerVectors
from fedge.strategies import get
from fedge.types import DeviceId, RoundId, Vector
from tests.support.aggregator_by_hand import Bench
from tests.support.cohorts import member, of_rows
from tests.support.sent_values import events, moved, sending

FACTS = Facts(n_steps=4, loss=0.5)
SCAFFOLD: dict[str, Any] = {
    "algorithm": "scaffold",
    "lr": 0.5,
    "local_steps": 4,
    "downlink_codec": "none",
}


def play(
    folder: Path,
    deltas: Mapping[str, float],
    *,
    facts: Facts | Mapping[str, Facts | None] | None = FACTS,
    **settings: object,
) -> Bench:
    """Rounds in which each device sends its value in every coordinate."""
    folder.mkdir(exist_ok=True)
    n = len(deltas)
    bench = Bench(folder, **{"wait_for": n, "quorum": n, "rounds": 1, **settings})  # type: ignore[arg-type] # no artifact
    for name in deltas:
        own = facts if facts is None or isinstance(facts, Facts) else facts[name]
        bench.add(name, payload=sending(deltas), facts=own)
    bench.settle(n_steps=200)
    return bench


def memory(bench: Bench, name: str) -> Vector:
    model = bench.aggregator._job.model
    assert np.ptp(model.state.memory[name]) == 0  # every coordinate has the same history
    return model.state.memory[name][:1]


def test_scaffold_learns_c_from_the_deltas_and_sends_it(tmp_path: Path) -> None:
    """Deltas 2 and 4 of four steps of 0.5: the gradients are -1 and -2, their mean -1.5."""
    bench = play(tmp_path, {"ann": 2.0, "bob": 4.0}, **SCAFFOLD)
    assert memory(bench, "control").tolist() == [-3]  # the sum, of one example each
    served = bench.aggregator._job.model.served
    assert served.data is not None
    n = bench.artifact.n_trainable
    np.testing.assert_array_equal(ServerVectors.from_bytes(served.data).decode(n)["control"], -1.5)
    told = bench.devices["ann"].manifest
    assert told is not None
    assert told.state is RoundState.FINISHED
    assert told.server == ServerRef(0, served.ref)
    np.testing.assert_allclose(moved(bench), 3, rtol=1e-6)


def test_the_second_round_reckons_with_what_devices_were_sent(tmp_path: Path) -> None:
    """c was -1.5: each c_i changes by 1.5 - delta / 2, which is 0.5 and -0.5, so c stays."""
    bench = play(tmp_path, {"ann": 2.0, "bob": 4.0}, **{**SCAFFOLD, "rounds": 2})
    assert memory(bench, "control").tolist() == [-3]


def test_a_compressed_downlink_has_int8_vectors_and_both_ends_use_what_they_decode(
    tmp_path: Path,
) -> None:
    settings = {**SCAFFOLD, "downlink_codec": "topk:0.5/sign", "codec": "int8"}
    bench = Bench(tmp_path, rounds=1, **settings)
    bench.add("ann", facts=FACTS)
    bench.settle()
    served, n = bench.aggregator._job.model.served, bench.artifact.n_trainable
    assert served.data is not None
    assert len(served.data) < n + 80
    exact = bench.aggregator._job.model.state.memory["control"]
    decoded = ServerVectors.from_bytes(served.data).decode(n)["control"]
    np.testing.assert_array_equal(served.vectors["control"], decoded)
    n_examples = next(iter(bench.aggregator._on.store.examples().values()))
    step = np.abs(exact / n_examples).max() / 127
    np.testing.assert_allclose(decoded, exact / n_examples, atol=1.01 * step)


def test_before_the_first_round_there_is_nothing_to_send(tmp_path: Path) -> None:
    bench = Bench(tmp_path, wait_for=1, quorum=2, **SCAFFOLD)
    (ann,) = bench.add("ann")
    bench.settle()
    assert ann.manifest is not None
    assert ann.manifest.server == ServerRef(0)


def test_a_device_that_says_no_steps_counts_for_the_model_alone(tmp_path: Path) -> None:
    """As one of an older release: it does not know the algorithm."""
    facts = {"ann": FACTS, "old": None}
    bench = play(tmp_path, {"ann": 2.0, "old": 4.0}, facts=facts, **SCAFFOLD)
    assert memory(bench, "control").tolist() == [-1]
    np.testing.assert_allclose(moved(bench), 3, rtol=1e-6)


def test_feddyn_moves_the_model_by_the_mean_and_by_the_fleets_sum(tmp_path: Path) -> None:
    """Of two devices: 3 + (2 + 4) / 2."""
    bench = play(tmp_path, {"ann": 2.0, "bob": 4.0}, algorithm="feddyn:alpha=0.5", local_steps=4)
    assert memory(bench, "regulariser").tolist() == [-3]
    told = bench.devices["ann"].manifest
    assert told is not None
    assert told.server == ServerRef(0)
    np.testing.assert_allclose(moved(bench), 6, rtol=1e-6)


def test_feddyn_counts_the_devices_that_did_not_answer(tmp_path: Path) -> None:
    """Three were asked and two answered: 3 + (2 + 4) / 3."""
    settings = {"algorithm": "feddyn:alpha=0.5", "wait_for": 3, "quorum": 2, "deadline_s": 10}
    bench = Bench(tmp_path, rounds=1, **settings)  # type: ignore[arg-type] # no artifact
    payload = sending({"ann": 2.0, "bob": 4.0})
    *_, mute = bench.add("ann", "bob", "mute", payload=payload, facts=FACTS)
    mute.send = lambda: None  # type: ignore[method-assign] # it only listens
    bench.settle()
    bench.wait(11)
    np.testing.assert_allclose(moved(bench), 5, rtol=1e-6)


def test_fednova_divides_by_steps(tmp_path: Path) -> None:
    """Deltas of 1 and 3 steps: 2 * (2 / 1 + 3 / 3) / 2."""
    facts = {"ann": Facts(n_steps=1, loss=0.5), "bob": Facts(n_steps=3, loss=0.5)}
    settings = {"algorithm": "fednova", "local_steps": 3}
    bench = play(tmp_path, {"ann": 2.0, "bob": 3.0}, facts=facts, **settings)
    np.testing.assert_allclose(moved(bench), 3, rtol=1e-6)


def test_a_delta_that_few_steps_would_make_huge_is_bounded_again(tmp_path: Path) -> None:
    """The liar's 1 becomes 100, and is dropped: ten times longer than twice the others' 1."""
    honest = {"ann": 1.0, "bob": 1.0, "cid": 1.0, "liar": 1.0}
    facts = {name: Facts(n_steps=100, loss=0.5) for name in honest}
    facts["liar"] = Facts(n_steps=1, loss=0.5)
    settings = {"algorithm": "fednova", "local_steps": 100}
    bench = play(tmp_path, honest, facts=facts, **settings)
    (event,) = events(bench)
    assert [one["device"] for one in event["dropped"]] == ["liar"]
    assert event["devices_dropped"] == 1
    np.testing.assert_allclose(moved(bench), 75.25 / 100, rtol=1e-5)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"algorithm": "moon"}, "unknown algorithm 'moon'"),
        ({"algorithm": "feddyn", "strategy": "fedadam"}, "needs the optimizer fedavg with lr 1"),
        ({"algorithm": "fedprox", "proximal": 0.1}, "leave proximal at 0, not 0.1"),
    ],
)
def test_what_cannot_be_combined_is_refused_at_the_start(
    tmp_path: Path, settings: dict[str, object], sentence: str
) -> None:
    with pytest.raises(ConfigError, match=sentence):
        Bench(tmp_path, **settings)  # type: ignore[arg-type] # no artifact


def continued(bench: Bench, folder: Path, strategy: str, algorithm: str) -> tuple[list[str], int]:
    """Names of what is not zero under other settings, and since which model."""
    bench.aggregator.close()
    record, n = bench.aggregator._job.model.record, bench.artifact.n_trainable
    files = StateFolder(folder / "state")
    model = load_model(files, record, n, get(strategy), strategy, algorithm=algorithm)
    names = [name for name, vector in model.state.memory.items() if vector.any()]
    assert (model.served.data is not None) is ("control" in names)
    return sorted(names), model.since


def test_what_another_algorithm_or_optimizer_remembers_is_dropped(tmp_path: Path) -> None:
    settings: dict[str, Any] = {**SCAFFOLD, "strategy": "fedavgm", "rounds": 2}
    bench = play(tmp_path, {"ann": 2.0, "bob": 4.0}, **settings)
    assert continued(bench, tmp_path, "fedavgm", "scaffold") == (["control", "momentum"], 0)
    assert continued(bench, tmp_path, "mean/fedavg", "scaffold") == (["control"], 0)
    assert continued(bench, tmp_path, "fedavgm", "feddyn") == (["momentum"], 2)
    assert continued(bench, tmp_path, "fedavgm", "fedavg") == (["momentum"], 2)


def test_devices_are_told_since_when_an_algorithm_goes_on(tmp_path: Path) -> None:
    play(tmp_path, {"ann": 2.0}, rounds=2).aggregator.close()
    bench = play(tmp_path, {"ann": 2.0}, **{**SCAFFOLD, "rounds": 4})
    told = bench.devices["ann"].manifest
    assert told is not None
    assert told.server is not None
    assert told.server.since == 2
    bench.aggregator.close()
    with sqlite3.connect(tmp_path / "state" / "state.sqlite3") as db:
        rows = db.execute("SELECT algorithm, since FROM model ORDER BY version").fetchall()
    assert rows == [("fedavg", 0)] * 3 + [("scaffold", 2)] * 2


class _Known:
    """A store that knows these devices."""

    def __init__(self, known: dict[str, int]) -> None:
        self.known = known

    def examples(self) -> dict[DeviceId, int]:
        return {DeviceId(name): n for name, n in self.known.items()}


def total(known: dict[str, int], own: dict[int, int], asked: list[str]) -> int:
    """Of a fleet of which these answered before, and these are in the cohort."""
    members = tuple(member(device, n_examples=n) for device, n in own.items())
    cohort = of_rows([[0.0]] * len(members), members)
    fleet = FleetExamples(_Known(known))  # all that it asks of it
    return fleet.total(cohort, map(DeviceId, asked))


def test_the_fleet_has_what_all_devices_have_whether_they_answered_now_or_before() -> None:
    me = member(0).device
    assert total({"a": 10, "b": 30}, {0: 20}, [me, "a", "b"]) == 60


def test_devices_that_never_answered_count_like_the_others() -> None:
    assert total({"a": 10, "b": 30}, {0: 20}, ["c", "d"]) == 60 + 2 * 20


def test_no_device_makes_the_fleet_arbitrarily_large() -> None:
    assert total({"a": 10, "b": 10, "liar": 10**9}, {0: 10}, []) == 30 + 100


def test_the_fleet_is_never_smaller_than_its_cohort() -> None:
    assert total({"a": 1, "b": 1}, {0: 500}, []) == 500


def test_each_device_counts_with_its_last_update(tmp_path: Path) -> None:
    bench = Bench(tmp_path, rounds=2, wait_for=1)
    sizes = {1: 7, 2: 9}
    bench.add("ann", payload=lambda artifact, name, round_: sending({}, n_examples=sizes[round_])(artifact, name, round_))  # fmt: skip  # noqa: E501
    bench.settle()
    assert bench.aggregator._job.last_round == RoundId(2)
    assert bench.aggregator._on.store.examples() == {"ann": 9}
