"""The aggregator's arithmetic: stored bytes in, the next model out."""

from pathlib import Path

import numpy as np
import pytest

from fedge import codecs
from fedge.aggregator.rounds.evaluation import Evaluator
from fedge.aggregator.rounds.merge import merge_deltas
from fedge.strategies import get, scale
from tests.support.aggregator_by_hand import Bench
from tests.support.cohorts import member, of_rows, vector
from tests.support.models import softmax

MEMBERS = (member(0, n_examples=3), member(1, n_examples=1))


def test_a_cohort_moves_the_model_by_its_weighted_mean() -> None:
    strategy = get("mean/fedavg")
    cohort = of_rows([[4, 0], [0, 8]], MEMBERS)
    after = merge_deltas(strategy.step, strategy.init(vector(1, 1)), cohort)
    assert after is not None
    np.testing.assert_array_equal(after.parameters, np.array([4, 3], np.float32))


def test_a_share_of_a_delta_is_counted_and_the_weights_stay() -> None:
    strategy, cohort = get("fedavg"), scale(of_rows([[4, 0], [0, 8]], MEMBERS), [1.0, 0.5])
    after = merge_deltas(strategy.step, strategy.init(vector(1, 1)), cohort)
    assert after is not None
    np.testing.assert_array_equal(after.parameters, np.array([4, 2], np.float32))


@pytest.mark.parametrize(("spec", "delta"), [("fedavg", None), ("fedadam", 1e30)])
def test_a_model_that_would_not_be_finite_is_not_made(spec: str, delta: float | None) -> None:
    largest, strategy = float(np.finfo(np.float32).max), get(spec)
    state = strategy.init(vector(largest))
    assert merge_deltas(strategy.step, state, of_rows([[delta or largest]])) is None


def test_a_round_of_which_nothing_can_be_counted_leaves_the_model_as_it_was(
    tmp_path: Path,
) -> None:
    bench = Bench(tmp_path, rounds=2)
    largest = float(np.finfo(np.float32).max)

    def huge(artifact: object, device: str, round_: int) -> bytes:
        stamp = codecs.Stamp(schema=bench.artifact.schema[:4], round=round_, n_examples=1)
        delta = np.full(bench.artifact.n_trainable, largest, np.float32)
        return codecs.get("none").encode(delta, None, np.random.default_rng(0), stamp=stamp)

    (ann,) = bench.add("ann", payload=huge)
    bench.settle()
    assert ann.has_finished()
    notes = [report.get("note") for report in bench.aggregator.report()["round_reports"]]
    assert notes == ["no update could be counted: the model stays as it was"] * 2


def test_every_model_is_judged_on_the_test_data(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 2)).astype(np.float32), rng.integers(0, 3, 20)
    is_test = np.arange(20) < 8
    np.savez(tmp_path / "test.npz", x=x, y=y, is_test=is_test)
    bench = Bench(tmp_path, rounds=2, test_data=tmp_path / "test.npz")
    bench.add("ann")
    bench.settle()
    reports = bench.aggregator.report()["round_reports"]
    registry_values = [bench.aggregator._on.folder.read_model(bytes.fromhex(r["model_sha256"]))
                       for r in reports]  # fmt: skip
    for report, parameters in zip(reports, registry_values, strict=True):
        w, b = parameters[:6].reshape(2, 3), parameters[6:]
        scores = x[is_test] @ w + b
        accuracy = float((scores.argmax(1) == y[is_test]).mean())
        assert report["accuracy"] == accuracy
        log_p = scores - np.log(np.exp(scores).sum(1, keepdims=True))
        loss = -log_p[np.arange(8), y[is_test]].mean()
        np.testing.assert_allclose(report["loss"], loss, rtol=1e-5)


def test_without_a_mask_all_examples_are_test_data(tmp_path: Path) -> None:
    np.savez(tmp_path / "all.npz", x=np.eye(2, dtype=np.float32), y=np.array([0, 1]))
    loss, accuracy = Evaluator(softmax(), tmp_path / "all.npz").evaluate(np.zeros(9, np.float32))
    assert loss is not None
    np.testing.assert_allclose(loss, np.log(3), rtol=1e-6)
    assert accuracy in {0.0, 0.5, 1.0}


def test_reaching_the_target_ends_the_job(tmp_path: Path) -> None:
    np.savez(tmp_path / "all.npz", x=np.eye(2, dtype=np.float32), y=np.array([0, 1]))
    bench = Bench(tmp_path, rounds=50, test_data=tmp_path / "all.npz", target_accuracy=0.0)
    (ann,) = bench.add("ann")
    bench.settle()
    assert ann.has_finished()
    assert ann.accepted == [1]
