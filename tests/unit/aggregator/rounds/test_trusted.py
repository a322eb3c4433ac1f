"""Rules that need more than deltas: trusted data, and what devices sent before."""

import sqlite3
from pathlib import Path

import numpy as np
import pytest

from fedge import codecs
from fedge.aggregator.rounds.trusted import TrustedData
from fedge.artifact import Artifact
from fedge.codecs import Stamp
from fedge.errors import ConfigError, DataError, TrainingError
from fedge.training import ArrayData, Plan, Trainer
from fedge.types import RoundId, Vector
from tests.support.aggregator_by_hand import Bench
from tests.support.models import softmax
from tests.support.scripted import scripted_payload
from tests.support.sent_values import events, moved

NEEDS_DATA = "compares updates with one from data that you trust: give --trusted-data FILE.npz"


def trusted_file(folder: Path, *, n: int = 12, n_in: int = 2) -> Path:
    rng = np.random.default_rng(5)
    x = rng.normal(size=(n, n_in)).astype(np.float32)
    np.savez(folder / "own.npz", x=x, y=rng.integers(0, 3, n))
    return folder / "own.npz"


def learnt(artifact: Artifact, file: Path, round_: int) -> Vector:
    """What the plan's single epoch makes of the file, as the trainer alone does it."""
    with np.load(file) as found:
        data = ArrayData({"x": found["x"]}, found["y"])
    return Trainer(artifact).fit(artifact.parameters, data, Plan(seed=round_)).delta


def test_devices_count_as_far_as_they_agree_with_trusted_data(tmp_path: Path) -> None:
    """One as it is, one twice as long, and one the other way round: together as it is."""
    file, artifact = trusted_file(tmp_path), softmax()
    own = learnt(artifact, file, 1)
    times = {"ann": 1.0, "bob": 2.0, "eve": -1.0}

    def payload(artifact: Artifact, name: str, round_: int) -> bytes:
        delta = (times[name] * own).astype(np.float32)
        stamp = Stamp(schema=artifact.schema[:4], round=round_, n_examples=1)
        return codecs.get("none").encode(delta, None, np.random.default_rng(0), stamp=stamp)

    bench = Bench(
        tmp_path, artifact=artifact, strategy="fltrust", trusted_data=file, rounds=1, wait_for=3,
        quorum=3,
    )  # fmt: skip
    bench.add(*times, payload=payload)
    bench.settle(n_steps=100)
    assert np.linalg.norm(own) > 0
    np.testing.assert_allclose(moved(bench), own, rtol=1e-5)


def test_trusted_data_on_which_training_diverges_leave_the_model_and_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def diverge(*_: object) -> Vector:
        raise TrainingError("training diverged at step 3")

    monkeypatch.setattr(TrustedData, "delta", diverge)
    bench = Bench(
        tmp_path, strategy="fltrust", trusted_data=trusted_file(tmp_path), rounds=1, wait_for=1
    )
    bench.add("ann")
    bench.settle(n_steps=100)
    (event,) = events(bench)
    assert event["note"] == (
        "on the trusted data training diverged at step 3: the model stays as it was"
    )
    np.testing.assert_array_equal(moved(bench), 0)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            {"strategy": "fltrust"},
            f"strategy 'fltrust' {NEEDS_DATA}",
        ),
        (
            {"strategy": "nnm:f=1+fltrust", "quorum": 3},
            f"strategy 'nnm:f=1+fltrust' {NEEDS_DATA}",
        ),
        (
            {"trusted_data": "own.npz"},
            "strategy 'fedavg' does not use trusted data: leave out --trusted-data, or choose",
        ),
        (
            {"strategy": "krum:f=1", "quorum": 5, "codec": "topk:0.01/sign"},
            "strategy 'krum:f=1' does not go with codec 'topk:0.01/sign': krum keeps one update",
        ),
        (
            {"strategy": "bucketing+krum:f=1", "quorum": 9, "codec": "mask:0.1/eden:2"},
            "strategy 'bucketing+krum:f=1' does not go with codec 'mask:0.1/eden:2': krum keeps",
        ),
    ],
)
def test_what_cannot_work_is_refused_before_anything_starts(
    tmp_path: Path, settings: dict[str, object], sentence: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        Bench(tmp_path, **settings)  # type: ignore[arg-type] # no artifact
    assert str(caught.value).startswith(sentence)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "settings",
    [
        {"strategy": "krum:f=1", "codec": "int8"},
        {"strategy": "nnm+krum:f=1", "codec": "topk:0.01/sign"},
        {"strategy": "median", "codec": "topk:0.01/sign"},
    ],
)
def test_what_can_work_is_not_refused(tmp_path: Path, settings: dict[str, object]) -> None:
    Bench(tmp_path, quorum=5, **settings).aggregator.close()  # type: ignore[arg-type] # no artifact


def test_trusted_data_that_do_not_fit_are_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected shape"):
        Bench(tmp_path, strategy="fltrust", trusted_data=trusted_file(tmp_path, n_in=7))
    with pytest.raises(ConfigError, match=r"no\.npz"):
        Bench(tmp_path, strategy="fltrust", trusted_data=tmp_path / "no.npz")


def test_marked_test_data_are_not_trained_on(tmp_path: Path) -> None:
    file, artifact = trusted_file(tmp_path), softmax()
    with np.load(file) as found:
        x, y = found["x"], found["y"]
    spoilt = np.concatenate([x, 1000 + x])
    is_test = np.arange(24) >= 12
    np.savez(tmp_path / "both.npz", x=spoilt, y=np.concatenate([y, y]), is_test=is_test)
    delta = TrustedData(artifact, tmp_path / "both.npz").delta(
        artifact.parameters, Plan(), RoundId(1)
    )
    np.testing.assert_array_equal(delta, learnt(artifact, file, 1))
    np.savez(tmp_path / "none.npz", x=x, y=y, is_test=np.ones(12, bool))
    with pytest.raises(ConfigError, match="expected at least one example to train on, found none"):
        TrustedData(artifact, tmp_path / "none.npz")


def history(bench: Bench) -> dict[str, Vector]:
    with sqlite3.connect(bench.folder / "state" / "state.sqlite3") as db:
        rows = db.execute("SELECT device, total FROM history").fetchall()
    return {device: np.frombuffer(total, "<f4") for device, total in rows}


def scripted(artifact: Artifact, device: str, round_: int) -> Vector:
    return codecs.decode(scripted_payload(artifact, device, round_)).to_dense()


def test_what_devices_sent_is_kept_for_a_rule_that_goes_by_it(tmp_path: Path) -> None:
    bench = Bench(tmp_path, strategy="foolsgold", rounds=3, wait_for=3, quorum=3, norm_bound=None)
    bench.add("ann", "bob", "cid")
    bench.settle(n_steps=300)
    bench.aggregator.close()
    found = history(bench)
    assert sorted(found) == ["ann", "bob", "cid"]
    for device, total in found.items():
        want = sum(scripted(bench.artifact, device, round_) for round_ in (1, 2, 3))
        np.testing.assert_allclose(total, want, rtol=1e-6)


def test_nothing_is_kept_for_a_rule_that_needs_none(tmp_path: Path) -> None:
    bench = Bench(tmp_path, rounds=2, wait_for=2, quorum=2)
    bench.add("ann", "bob")
    bench.settle(n_steps=200)
    bench.aggregator.close()
    assert history(bench) == {}


def test_history_counts_once_whenever_the_process_dies(tmp_path: Path) -> None:
    bench = Bench(tmp_path, strategy="foolsgold", rounds=3, wait_for=2, quorum=2, norm_bound=None)
    ann, bob = bench.add("ann", "bob")
    rng = np.random.default_rng(0)
    for _ in range(200):
        bench.settle(n_steps=int(rng.integers(1, 4)))
        if ann.has_finished() and bob.has_finished():
            break
        bench.kill()
        bench.begin()
        bench.time.now_s += 1  # so that devices send again
    assert ann.has_finished()
    assert bench.n_starts > 4
    bench.aggregator.close()
    with sqlite3.connect(bench.folder / "state" / "state.sqlite3") as db:
        applied = db.execute("SELECT device, round FROM applied").fetchall()
    assert len(applied) == 6
    for device, total in history(bench).items():
        want = sum(scripted(bench.artifact, *one) for one in applied if one[0] == device)
        np.testing.assert_allclose(total, want, rtol=1e-6)
