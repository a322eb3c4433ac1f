"""What holds for every rule: those of specs and those to come."""

from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedge.strategies import RULES, Cohort, Deltas, Mean, Rule, Weights, get
from fedge.strategies.rules import Chain
from fedge.types import Vector
from tests.support import rules_to_come as to_come
from tests.support.cohorts import member, of_rows

RULES_OF_SPECS = [get(spec.partition("[")[0]).rule for spec in RULES]
RULES_TO_COME: list[Rule] = [
    to_come.CoordinateMedian(),
    to_come.TrimmedMean(f=1),
    to_come.Krum(f=1),
    to_come.FedBuff(),
    to_come.FedNova(),
    to_come.QFedAvg(q=2.0),
    Chain((to_come.NearestNeighborMixing(f=1),), to_come.TrimmedMean(f=1)),
    Chain((to_come.Bucketing(s=2),), Mean()),
]
EVERY_RULE = pytest.mark.parametrize("rule", [*RULES_OF_SPECS, *RULES_TO_COME], ids=repr)


@dataclass(slots=True, eq=False)
class Watched:
    """Deltas that remember how they were read."""

    deltas: Deltas
    sums: list[list[float]] = field(default_factory=list)
    ranges: list[tuple[int, int]] = field(default_factory=list)

    @property
    def n_params(self) -> int:
        return self.deltas.n_params

    def weighted_sum(self, weights: Weights) -> Vector:
        self.sums.append(list(weights))
        return self.deltas.weighted_sum(weights)

    def columns(self, start: int, stop: int, *, absent: float = 0.0) -> Vector:
        self.ranges.append((start, stop))
        return self.deltas.columns(start, stop, absent=absent)


@EVERY_RULE
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(7, 12))
@settings(max_examples=20)
def test_the_same_cohort_gives_the_same_float32_bits(rule: Rule, seed: int, n: int) -> None:
    cohort = of_rows(np.random.default_rng(seed).normal(size=(n, 3)).tolist())
    first, again = rule.combine(cohort), rule.combine(cohort)
    assert first.shape == (3,)
    assert first.dtype == np.float32
    assert first.tobytes() == again.tobytes()


@EVERY_RULE
def test_a_rule_that_streams_reads_weighted_sums_alone(rule: Rule) -> None:
    cohort = of_rows(np.random.default_rng(0).normal(size=(9, 4)).tolist())
    watched = Watched(cohort.deltas)
    rule.combine(Cohort(cohort.members, watched))
    assert bool(watched.ranges) != rule.streams
    assert watched.sums or not rule.streams


@EVERY_RULE
def test_a_rule_that_needs_rows_reads_them_range_by_range(
    rule: Rule, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So much wider a model, so many more ranges, and no wider ones."""
    monkeypatch.setattr(Cohort.ranges, "__defaults__", (4 * 9 * 5,))  # five columns of nine rows
    cohort = of_rows(np.random.default_rng(0).normal(size=(9, 23)).tolist())
    watched = Watched(cohort.deltas)
    got = rule.combine(Cohort(cohort.members, watched))
    assert got.shape == (23,)
    assert all(stop - start <= 5 for start, stop in watched.ranges)
    assert all(first[1] == then[0] or then[0] == 0 for first, then in pairwise(watched.ranges))


AVERAGES = [
    rule for rule in (*RULES_OF_SPECS, *RULES_TO_COME) if not isinstance(rule, to_come.QFedAvg)
]


@pytest.mark.parametrize("rule", AVERAGES, ids=repr)
def test_equal_deltas_combine_to_themselves(rule: Rule) -> None:
    members = [member(number, n_examples=number + 1, n_steps=4) for number in range(8)]
    got = rule.combine(of_rows([[1.5, -2.0, 0.0]] * 8, members))
    np.testing.assert_allclose(got, [1.5, -2, 0], rtol=1e-6)


@EVERY_RULE
def test_a_rule_takes_every_cohort_that_is_not_too_small(rule: Rule) -> None:
    assert rule.least >= 1
    rows = np.random.default_rng(0).normal(size=(rule.least, 3)).tolist()
    assert np.isfinite(rule.combine(of_rows(rows))).all()


@EVERY_RULE
def test_what_only_some_devices_say_stops_no_rule(rule: Rule) -> None:
    members = [member(number) for number in range(9)]
    members[3] = replace(members[3], n_steps=5, loss=0.25, norm=1.0, staleness=2)
    rows = np.random.default_rng(0).normal(size=(9, 3)).tolist()
    assert np.isfinite(rule.combine(of_rows(rows, members))).all()
