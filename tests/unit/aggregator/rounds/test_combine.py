"""Rules on what the store holds: those that need rows, and those that need more than there are."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from fedge import strategies
from fedge.errors import ConfigError
from fedge.strategies import FedAvg, Rule, Strategy
from fedge.strategies.rules import Median, TrimmedMean
from tests.support.aggregator_by_hand import Bench
from tests.support.sent_values import events, moved, sending


def play(folder: Path, rule: Rule, deltas: Mapping[str, float]) -> Bench:
    """One round by this rule."""
    bench = Bench(folder, wait_for=len(deltas), quorum=len(deltas), rounds=1)
    bench.aggregator._job.combiner.strategy = Strategy(rule, FedAvg())
    bench.add(*deltas, payload=sending(deltas))
    bench.settle(n_steps=100)
    return bench


def test_a_rule_reads_rows_as_the_bound_leaves_them(tmp_path: Path) -> None:
    """The norms' median is that of 1.5; 4 and 5 are cut down to twice that, and 99 is dropped."""
    deltas = {"ann": 1.0, "bob": 1.5, "cid": 1.5, "dan": 4.0, "eve": 99.0, "fay": 5.0}
    bench = play(tmp_path, TrimmedMean(f=1), deltas)
    (event,) = events(bench)
    assert [one["device"] for one in event["dropped"]] == ["eve"]
    np.testing.assert_allclose(moved(bench), (1.5 + 1.5 + 3) / 3, rtol=1e-6)


def test_a_median_moves_the_model_by_the_middle_device(tmp_path: Path) -> None:
    bench = play(tmp_path, Median(), {"ann": -1.0, "bob": 0.5, "cid": 2.0})
    np.testing.assert_allclose(moved(bench), 0.5, rtol=1e-6)


def test_too_small_a_cohort_leaves_the_model_and_says_why(tmp_path: Path) -> None:
    bench = play(tmp_path, TrimmedMean(f=1), {"ann": 1.0, "bob": 1.0, "eve": 99.0})
    (event,) = events(bench)
    assert event["note"] == (
        "2 updates could be counted and the rule needs 3: the model stays as it was"
    )
    np.testing.assert_array_equal(moved(bench), 0)


def test_a_quorum_that_the_rule_cannot_work_with_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    robust = Strategy(TrimmedMean(f=2), FedAvg())
    monkeypatch.setattr(strategies, "get", lambda spec: robust)
    with pytest.raises(ConfigError) as caught:
        Bench(tmp_path, quorum=4)
    assert str(caught.value) == (
        "strategy 'fedavg' needs at least 5 updates, but rounds may close with 4: raise the quorum"
    )
    Bench(tmp_path, quorum=5).aggregator.close()
