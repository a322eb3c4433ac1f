"""The bound on norms: worked by hand, then its laws."""

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fedge.strategies import Mean, bound_norms, scale
from tests.support.cohorts import member, of_rows

NORMS = st.lists(st.floats(0, 3e38), max_size=9)


def test_a_long_update_is_shortened_to_twice_the_median() -> None:
    found = bound_norms([1.0, 4.0, 2.0, 8.0, 2.0], 2.0)
    assert (found.median, found.bound) == (2.0, 4.0)
    assert found.shares == (1.0, 1.0, 1.0, 0.5, 1.0)


def test_an_update_ten_times_longer_than_the_bound_is_dropped() -> None:
    found = bound_norms([1.0, 1.0, 20.0, 20.5], 2.0)
    assert found.shares == (1.0, 1.0, 0.1, 0.0)


@pytest.mark.parametrize("factor", [None, 2.0])
def test_what_no_arithmetic_stands_is_dropped_whatever_the_factor(factor: float | None) -> None:
    found = bound_norms([1e30, math.nan, math.inf, 1.0, 1.0, 1.0], factor)
    assert found.shares == (0.0, 0.0, 0.0, 1.0, 1.0, 1.0)
    assert bound_norms([1e18, 1.0, 1.0], None).shares == (1.0, 1.0, 1.0)


def test_of_two_that_differ_the_shorter_is_believed() -> None:
    assert bound_norms([1e9, 1.0], 2.0).shares == (0.0, 1.0)


def test_a_small_cohort_is_measured_by_earlier_rounds_too() -> None:
    assert bound_norms([8.0], 2.0, [1.0, 2.0, 3.0]).shares == (0.5,)  # lower median of 1 2 3 8
    assert bound_norms([8.0], 2.0, [8.0, 1.0, 2.0, 3.0]).shares == (0.5,)  # the last three only
    assert bound_norms([1e-9, 2.0], 2.0, [2.0, 2.0, 2.0]).shares == (1.0, 1.0)
    assert bound_norms([8.0], 2.0).shares == (1.0,)  # nothing to compare with
    three = bound_norms([8.0, 8.0, 8.0], 2.0, [1.0, 1.0, 1.0])
    assert three.shares == (1.0, 1.0, 1.0)  # they have a majority of their own


def test_one_device_alone_can_grow_by_the_factor_a_round_at_most() -> None:
    medians = [1.0]
    for _ in range(4):
        found = bound_norms([7 * medians[-1]], 2.0, medians)
        assert found.median is not None
        medians.append(found.median)
        assert medians[-1] <= 2 * medians[-2]


def test_updates_of_zeros_have_no_voice() -> None:
    found = bound_norms([0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.5], 2.0)
    assert (found.shares, found.median) == ((1.0,) * 7, 1.0)
    nothing = bound_norms([0.0, 0.0], 2.0)
    assert (nothing.shares, nothing.median, nothing.bound) == ((1.0, 1.0), None, math.inf)


@given(norms=NORMS, factor=st.floats(1, 100), earlier=st.lists(st.floats(1e-9, 1e9), max_size=4))
@example(norms=[], factor=2.0, earlier=[])
@example(norms=[5e-324, 5e-324, 5e-324, 1.0], factor=2.0, earlier=[])
def test_what_is_counted_is_never_longer_than_the_bound(
    norms: list[float], factor: float, earlier: list[float]
) -> None:
    found = bound_norms(norms, factor, earlier)
    assert len(found.shares) == len(norms)
    for norm, share in zip(norms, found.shares, strict=True):
        assert 0 <= share <= 1
        assert norm * share <= min(found.bound, 1e18) * (1 + 1e-9)
        assert share == 1 or norm > min(found.bound, 1e18)


@given(honest=st.lists(st.floats(1, 2), min_size=2, max_size=8), bad=st.floats(0, 3e38))
def test_one_among_three_or_more_moves_the_bound_within_the_others(
    honest: list[float], bad: float
) -> None:
    found = bound_norms([*honest, bad], 2.0)
    assert 2 <= found.bound <= 4
    assert found.shares[:-1] == (1.0,) * len(honest)


def test_a_weight_is_the_share_of_the_examples_times_the_share_of_the_delta() -> None:
    """0.75 of 8 and 0.25 of half of 16."""
    members = [member(0, n_examples=3), member(1, n_examples=1)]
    cohort = scale(of_rows([[8], [16]], members), [1.0, 0.5])
    np.testing.assert_array_equal(Mean().combine(cohort), [8])


def test_whose_share_is_0_is_not_counted_nor_are_its_examples() -> None:
    members = [member(0, n_examples=3), member(1, n_examples=100), member(2, n_examples=1)]
    cohort = scale(of_rows([[8], [3e38], [16]], members), [1.0, 0.0, 0.5])
    assert cohort.members == (members[0], members[2])
    np.testing.assert_array_equal(Mean().combine(cohort), [8])
