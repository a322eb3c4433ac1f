"""The interface says every rule that is planned: each worked by hand on the rule's own formula."""

from dataclasses import replace

import numpy as np
import pytest

from fedge.strategies import Cohort, Mean, Rule
from fedge.strategies.rules import Krum, Median
from tests.support.cohorts import member, of_rows
from tests.support.rules_to_come import (
    FedBuff,
    FedNova,
    QFedAvg,
    ShardedDeltas,
    site,
)


def test_fedbuff_discounts_what_is_stale() -> None:
    """Half of 4 in full, and half of 8 by 1 / sqrt(1 + 3)."""
    members = [member(0, staleness=0), member(1, staleness=3)]
    np.testing.assert_array_equal(FedBuff().combine(of_rows([[4], [8]], members)), [4])


def test_fednova_counts_a_delta_by_its_steps() -> None:
    """A step is worth 2 and 4, in the mean 3, and there are 2 in the mean. The mean gives 7."""
    members = [member(0, n_steps=1), member(1, n_steps=3)]
    np.testing.assert_array_equal(FedNova().combine(of_rows([[2], [12]], members)), [6])
    np.testing.assert_array_equal(Mean().combine(of_rows([[2], [12]], members)), [7])


def test_fednova_is_the_mean_where_nobody_has_said_steps() -> None:
    np.testing.assert_array_equal(FedNova().combine(of_rows([[2], [12]])), [7])


def test_a_rule_may_go_by_losses_and_norms() -> None:
    """(2 * 3 + 1 * 4) / ((9 + 2) + (16 + 1)), q = 1."""
    members = [member(0, loss=2.0, norm=3.0), member(1, loss=1.0, norm=4.0)]
    got = QFedAvg(q=1.0).combine(of_rows([[3], [4]], members))
    np.testing.assert_allclose(got, [10 / 28], rtol=1e-6)


def test_a_site_is_a_device_to_its_parent() -> None:
    """Means of 4 x 1 and 8 x 3 (7 of 4 examples), and of 1 x 4: together 4, as without sites."""
    inner = [member(0, n_examples=1), member(1, n_examples=3)]
    here = Mean().combine(of_rows([[4], [8]], inner))
    sites = [member(0, n_examples=site(inner)), member(1, n_examples=4)]
    got = Mean().combine(of_rows([here.tolist(), [1]], sites))
    flat = Mean().combine(of_rows([[4], [8], [1]], [*inner, member(2, n_examples=4)]))
    np.testing.assert_array_equal([*here, *got, *flat], [7, 4, 4])


@pytest.mark.parametrize("rule", [Mean(), FedBuff(), Median(), Krum(f=1)])
def test_a_cohort_may_be_spread_over_workers(rule: Rule) -> None:
    rows = [[0.0, 1.0], [1.0, 8.0], [2.5, 3.0], [4.0, 4.0], [100.0, -7.0]]
    whole = of_rows(rows)
    shards = ShardedDeltas([(2, of_rows(rows[:2]).deltas), (3, of_rows(rows[2:]).deltas)])
    got = rule.combine(Cohort(whole.members, shards))
    np.testing.assert_allclose(got, rule.combine(whole), rtol=1e-6)


def test_the_facts_of_a_member_are_optional_but_for_its_examples() -> None:
    one = member(0)
    assert (one.n_steps, one.loss, one.norm, one.staleness) == (None, None, None, 0)
    assert replace(one, staleness=2).n_examples == 1
