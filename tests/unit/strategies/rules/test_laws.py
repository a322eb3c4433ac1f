"""What holds for every rule: those of specs and those to come."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedge.strategies import (
    RULES,
    Cohort,
    Deltas,
    Member,
    Rule,
    Weights,
    get,
    needs_history,
    needs_reference,
    not_for_sparse,
    scale,
)
from fedge.strategies.rules import CohortError, FoolsGold
from fedge.types import Vector
from tests.support import rules_to_come as to_come
from tests.support.cohorts import member, of_rows

RULES_OF_SPECS = [get(spec.partition("[")[0].replace("=N", "=1")).rule for spec in RULES]
CHAINS = [
    get(spec).rule
    for spec in (
        "nnm+trimmed_mean:f=1",
        "nnm+krum:f=1",
        "bucketing:s=2+mean",
        "bucketing:s=2+median",
        "clip:c=1+mean",
        "arc+multi_krum:f=1",
        "clip:c=1+nnm:f=1+geometric_median",
        "trimmed_mean:0.2",
    )
]
RULES_TO_COME: list[Rule] = [
    to_come.FedBuff(),
    to_come.FedNova(),
    to_come.QFedAvg(q=2.0),
]
EVERY_RULE = pytest.mark.parametrize("rule", [*RULES_OF_SPECS, *CHAINS, *RULES_TO_COME], ids=repr)


def cohort_of_rows(
    rows: Sequence[Sequence[float]], members: Sequence[Member] | None = None
) -> Cohort:
    """With all that any rule may need: of trusted data, the first delta."""
    return replace(of_rows(rows, members), reference=np.array(rows[0], np.float32))


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
    cohort = cohort_of_rows(np.random.default_rng(seed).normal(size=(n, 3)).tolist())
    first, again = rule.combine(cohort), rule.combine(cohort)
    assert first.shape == (3,)
    assert first.dtype == np.float32
    assert first.tobytes() == again.tobytes()


@EVERY_RULE
def test_a_rule_that_streams_reads_weighted_sums_alone(rule: Rule) -> None:
    cohort = cohort_of_rows(np.random.default_rng(0).normal(size=(9, 4)).tolist())
    watched = Watched(cohort.deltas)
    rule.combine(replace(cohort, deltas=watched))
    assert bool(watched.ranges) != rule.streams
    assert watched.sums or not rule.streams


@EVERY_RULE
def test_a_rule_that_needs_rows_reads_them_range_by_range(
    rule: Rule, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So much wider a model, so many more ranges, and no wider ones."""
    monkeypatch.setattr(Cohort.ranges, "__defaults__", (4 * 9 * 5,))  # five columns of nine rows
    cohort = cohort_of_rows(np.random.default_rng(0).normal(size=(9, 23)).tolist())
    watched = Watched(cohort.deltas)
    got = rule.combine(replace(cohort, deltas=watched))
    assert got.shape == (23,)
    assert all(stop - start <= 5 for start, stop in watched.ranges)
    assert all(first[1] == then[0] or then[0] == 0 for first, then in pairwise(watched.ranges))


AVERAGES = [  # to FoolsGold equal deltas are those of one device that hides
    rule
    for rule in (*RULES_OF_SPECS, *RULES_TO_COME)
    if not isinstance(rule, to_come.QFedAvg | FoolsGold)
]


@pytest.mark.parametrize("rule", AVERAGES, ids=repr)
def test_equal_deltas_combine_to_themselves(rule: Rule) -> None:
    members = [member(number, n_examples=number + 1, n_steps=4) for number in range(8)]
    got = rule.combine(cohort_of_rows([[1.5, -2.0, 0.0]] * 8, members))
    np.testing.assert_allclose(got, [1.5, -2, 0], rtol=1e-6)


@EVERY_RULE
def test_a_rule_takes_every_cohort_that_is_not_too_small(rule: Rule) -> None:
    assert rule.least >= 1
    rows = np.random.default_rng(0).normal(size=(rule.least, 3)).tolist()
    assert np.isfinite(rule.combine(cohort_of_rows(rows))).all()


@EVERY_RULE
def test_what_only_some_devices_say_stops_no_rule(rule: Rule) -> None:
    members = [member(number) for number in range(9)]
    members[3] = replace(members[3], n_steps=5, loss=0.25, norm=1.0, staleness=2)
    rows = np.random.default_rng(0).normal(size=(9, 3)).tolist()
    assert np.isfinite(rule.combine(cohort_of_rows(rows, members))).all()


@pytest.mark.parametrize("rule", [*RULES_OF_SPECS, *CHAINS], ids=repr)
def test_too_small_a_cohort_is_refused(rule: Rule) -> None:
    rows = np.random.default_rng(0).normal(size=(rule.least, 3)).tolist()
    few = scale(cohort_of_rows(rows), [0.0] + [1.0] * (rule.least - 1))
    with pytest.raises(CohortError, match=rf"{rule.least - 1} updates? could be counted"):
        rule.combine(few)


NAMELESS = [
    rule
    for rule in (*RULES_OF_SPECS, *CHAINS)
    if not any(name in repr(rule) for name in ("Bucketing", "Bulyan", "MinimumDiameter"))
]


@pytest.mark.parametrize("rule", NAMELESS, ids=repr)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(7, 12))
@settings(max_examples=10)
def test_it_does_not_matter_who_says_what(rule: Rule, seed: int, n: int) -> None:
    """Buckets are drawn by name, and of equals Bulyan and the least diameter take the first.

    To all others names are only an order to add things up in.
    """
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n, 6))
    cohort, shuffled = cohort_of_rows(rows.tolist()), of_rows(rng.permutation(rows).tolist())
    got = rule.combine(replace(shuffled, reference=cohort.reference))
    np.testing.assert_allclose(got, rule.combine(cohort), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("spec", "n_passes"),
    [
        ("krum:f=1", 1),
        ("geometric_median", 1),
        ("nnm+multi_krum:f=1", 1),  # distances between mixtures follow from those before
        ("nnm+trimmed_mean:f=1", 2),
        ("clip:c=1+nnm+krum:f=1", 1),
        ("arc+smea:f=1", 1),
        ("bulyan:f=1", 2),
    ],
)
def test_distances_are_read_once(spec: str, n_passes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Cohort.ranges, "__defaults__", (4 * 9 * 5,))
    cohort = cohort_of_rows(np.random.default_rng(0).normal(size=(9, 23)).tolist())
    watched = Watched(cohort.deltas)
    get(spec).rule.combine(replace(cohort, deltas=watched))
    assert sum(stop - start for start, stop in watched.ranges) == n_passes * 23


def test_a_rule_that_searches_among_subsets_gives_up_on_a_large_cohort() -> None:
    rows = np.random.default_rng(0).normal(size=(20, 3)).tolist()
    with pytest.raises(CohortError, match="expected at most 16384 subsets, found 125970"):
        get("smea:f=8").rule.combine(of_rows(rows))
    assert np.isfinite(get("mda:f=8").rule.combine(of_rows(rows))).all()


def test_what_a_rule_needs_is_what_its_chain_needs() -> None:
    rules = {spec: get(spec).rule for spec in ("nnm:f=1+fltrust", "arc:f=1+foolsgold", "median")}
    assert [needs_reference(rule) for rule in rules.values()] == [True, False, False]
    assert [needs_history(rule) for rule in rules.values()] == [False, True, False]
    reasons = [
        not_for_sparse(get(spec).rule)
        for spec in ("krum:f=1", "arc+krum:f=1", "nnm+krum:f=1", "multi_krum:f=1")
    ]
    assert [bool(reason) for reason in reasons] == [True, True, False, False]
