"""A fleet's own mean and scale, from a round of statistics before the first training."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from fedge.aggregator import open_registry
from fedge.artifact import Artifact, InputSpec, arrange
from fedge.messages import RoundKind, StatisticsReport
from fedge.training.data import ArrayData
from fedge.training.statistics import measure
from fedge.types import RoundId
from tests.support.models import softmax
from tests.support.scripted import scripted_payload
from tests.unit.aggregator.harness import Bench

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
