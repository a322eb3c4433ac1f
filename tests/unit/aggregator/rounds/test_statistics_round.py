"""A fleet's own mean and scale, from a round of statistics before the first training."""

import json
import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fedge.aggregator import open_registry
from fedge.artifact import Artifact, InputSpec, arrange
from fedge.messages import RoundKind, StatisticsReport
from fedge.training.data import ArrayData
from fedge.training.statistics import FeatureStatistics, measure
from fedge.types import RoundId
from tests.support.aggregator_by_hand import Bench
from tests.support.models import softmax
from tests.support.scripted import scripted_payload

ROWS = {
    "ann": np.array([[1.0, 5.0], [3.0, np.nan], [5.0, 5.0]], np.float32),
    "bob": np.array([[7.0, 5.0]], np.float32),
}


def federated() -> Artifact:
    """The softmax model with slots for mean and scale; its graphs are not run here."""
    plain = softmax()
    spec = InputSpec(name="x", dtype="float32", shape=(2,), standardize="federated")
    slots = [(s.name, s.shape, s.trainable, s.kind) for s in plain.layout]
    layout = arrange(
        [*slots, ("x.fedge.mean", (2,), False, "statistic"),
         ("x.fedge.scale", (2,), False, "statistic")]
    )  # fmt: skip
    manifest = replace(plain.manifest, inputs=(spec,), layout=layout)
    values = np.concatenate([plain.parameters, np.array([0, 0, 1, 1], np.float32)])
    return replace(plain, manifest=manifest, parameters=values)


def answer(artifact: Artifact, device: str, round_: int) -> bytes:
    if round_ > 0:
        return scripted_payload(artifact, device, round_)
    data = ArrayData({"x": ROWS[device]}, np.zeros(len(ROWS[device])))
    report = StatisticsReport(
        schema=artifact.schema,
        round=RoundId(0),
        n_examples=data.n_examples,
        features=measure(data, artifact.manifest),
    )
    return report.to_bytes()


def test_mean_and_scale_of_the_fleet_go_into_model_one(tmp_path: Path) -> None:
    artifact = federated()
    bench = Bench(tmp_path, artifact=artifact, rounds=2, wait_for=2, quorum=2)
    ann, bob = bench.add("ann", "bob", payload=answer)
    bench.settle()
    assert ann.accepted == bob.accepted == [0, 1, 2]
    bench.aggregator.close()
    registry = open_registry(tmp_path / "state")
    first = registry.parameters(registry.model(0))
    # 1, 3, 5, 7: mean 4, variance 5; the other feature is always 5, so its scale is 0.
    want = np.array([4, 5, 1 / np.sqrt(5), 0], np.float32)
    np.testing.assert_array_equal(first[-4:], want)
    np.testing.assert_array_equal(first[:-4], artifact.parameters[:-4])
    np.testing.assert_array_equal(registry.parameters(registry.latest())[-4:], want)
    lines = [json.loads(x) for x in (tmp_path / "events.jsonl").read_text().splitlines()]
    kinds = [(line["round"], line["kind"]) for line in lines if line["event"] == "round"]
    assert kinds == [(0, RoundKind.STATISTICS), (1, "training"), (2, "training")]
    assert lines[-1]["rounds"] == 2


def test_a_delta_in_a_statistics_round_is_refused(tmp_path: Path) -> None:
    bench = Bench(tmp_path, artifact=federated(), rounds=1, wait_for=1, quorum=1)
    (ann,) = bench.add("ann", payload=lambda art, name, _: scripted_payload(art, name, 1))
    bench.settle()
    assert {refusal.reason.value for refusal in ann.refusals} == {"payload"}


LIES = {
    "count": ((2.0**53, 0.0, 0.0), 1),
    "mean": ((1.0, 1e38, 0.0), 1),
    "deviation": ((1.0, 0.0, 1e100), 1),
    "the most that is read": ((1e7, 1e20, 1e47), 10_000_000),
}


def lie(artifact: Artifact, values: tuple[float, float, float], n_examples: int) -> bytes:
    one = FeatureStatistics(*(np.full(2, value) for value in values))
    report = StatisticsReport(
        schema=artifact.schema, round=RoundId(0), n_examples=n_examples, features={"x": one}
    )
    return report.to_bytes()


def honest(artifact: Artifact, device: str) -> bytes:
    x = np.random.default_rng(int(device)).normal(5, 2, (50, 2)).astype(np.float32)
    report = StatisticsReport(
        schema=artifact.schema,
        round=RoundId(0),
        n_examples=50,
        features=measure(ArrayData({"x": x}, np.zeros(50)), artifact.manifest),
    )
    return report.to_bytes()


@pytest.mark.parametrize("what", LIES)
def test_what_one_device_claims_leaves_the_scale_near_the_others(
    tmp_path: Path, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    artifact = federated()

    def told(artifact: Artifact, device: str, round_: int) -> bytes:
        if round_ > 0:
            return scripted_payload(artifact, device, round_)
        return lie(artifact, *LIES[what]) if device == "eve" else honest(artifact, device)

    bench = Bench(tmp_path, artifact=artifact, rounds=1, wait_for=5, quorum=4, deadline_s=10)
    bench.add("1", "2", "3", "4", "eve", payload=told)
    bench.settle()
    bench.wait(11)  # a refused one is waited for
    bench.aggregator.close()
    registry = open_registry(tmp_path / "state")
    mean, scale = registry.parameters(registry.model(0))[-4:].reshape(2, 2)
    # Of the four: mean 5, deviation 2. Drawn in to five times the furthest of them, and as heavy.
    assert (np.abs(mean - 5) < 6).all()
    assert ((scale > 1 / 8) & (scale < 0.6)).all()
    lines = [json.loads(x) for x in (tmp_path / "events.jsonl").read_text().splitlines()]
    first = next(line for line in lines if line["event"] == "round")
    if what == "the most that is read":
        assert first["clipped"] == [{"device": "eve"}]
        assert (
            "round 0: 1 updates were scaled down to what the other devices report: eve"
            in caplog.text
        )
    else:
        assert (first["refused"], first["devices_clipped"]) == (1, 0)
        assert "refused update of device eve for round 0 (payload): statistics" in caplog.text


def test_the_weight_cap_bounds_a_count_too(tmp_path: Path) -> None:
    bench = Bench(tmp_path, artifact=federated(), rounds=1, wait_for=1, quorum=1, max_examples=100)
    payload = lie(bench.artifact, (101.0, 0.0, 0.0), 101)
    (ann,) = bench.add("ann", payload=lambda *_: payload)
    bench.settle()
    first, *_ = (refusal.detail for refusal in ann.refusals)
    assert first == "examples: expected at most 100, found 101"


def test_a_report_that_an_earlier_release_took_stops_no_round(tmp_path: Path) -> None:
    """It lies accepted in the directory, and this release would have refused it."""
    artifact = federated()

    def told(artifact: Artifact, device: str, round_: int) -> bytes:
        return honest(artifact, device) if round_ == 0 else scripted_payload(artifact, device, 1)

    bench = Bench(tmp_path, artifact=artifact, rounds=1, wait_for=3, quorum=3)
    _, _, late = bench.add("1", "2", "3", payload=told)
    send, late.send = late.send, lambda: None  # type: ignore[method-assign] # it only listens
    bench.settle()
    bench.kill()
    with sqlite3.connect(tmp_path / "state" / "state.sqlite3") as db:
        believed = lie(artifact, (2.0**53, 0.0, 0.0), 1)
        db.execute("INSERT INTO payload_group VALUES (9, '', ?)", (believed,))
        db.execute(
            "UPDATE taken SET group_ = 9, start = 0, size_bytes = ? WHERE device = '2'",
            (len(believed),),
        )
    bench.begin()
    late.send = send  # type: ignore[method-assign]
    bench.time.now_s += 1
    bench.settle()
    lines = [json.loads(x) for x in (tmp_path / "events.jsonl").read_text().splitlines()]
    (first, *_) = (line for line in lines if line["event"] == "round")
    assert [one["device"] for one in first["dropped"]] == ["2"]
    assert bench.devices["1"].has_finished()
    registry = open_registry(tmp_path / "state")
    mean, _ = registry.parameters(registry.model(0))[-4:].reshape(2, 2)
    assert (np.abs(mean - 5) < 1).all()  # of the two others, whose mean is 5
