"""Coordinate median and trimmed mean: by hand, against NumPy, and under attack."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fedge.strategies.robust import coordinate_median, trimmed_mean
from fedge.types import Vector

Rule = Callable[..., Vector]
RULES = [coordinate_median, trimmed_mean]
cohorts = st.integers(1, 40)
seeds = st.integers(0, 2**32 - 1)


def _updates(n: int, seed: int, n_params: int = 70) -> Vector:
    return np.random.default_rng(seed).normal(size=(n, n_params)).astype(np.float32)


def test_median_by_hand() -> None:
    """Of five the third; of four the mean of the middle two."""
    updates = np.array([[5, 9], [1, -9], [4, 0], [2, 3], [-7, 1]], np.float32)
    assert coordinate_median(updates).tolist() == [2, 1]
    assert coordinate_median(updates[:4]).tolist() == [3, 1.5]
    assert coordinate_median(updates[:1]).tolist() == [5, 9]


def test_trimmed_mean_by_hand() -> None:
    """Of -7, 1, 2, 3, 5 remain 1, 2, 3; of -90, 0, 3, 3, 90 remain 0, 3, 3."""
    updates = np.array([[5, 90], [1, -90], [3, 0], [2, 3], [-7, 3]], np.float32)
    assert trimmed_mean(updates, n_byzantine=1).tolist() == [2, 2]
    assert trimmed_mean(updates, n_byzantine=2).tolist() == [2, 3]
    assert trimmed_mean(updates[:4], n_byzantine=0).tolist() == [2.75, 0.75]


@given(cohorts, seeds)
def test_median_is_that_of_numpy(n: int, seed: int) -> None:
    updates = _updates(n, seed)
    np.testing.assert_array_equal(coordinate_median(updates), np.median(updates, axis=0))


@given(cohorts, seeds, st.floats(0, 0.5, exclude_max=True))
def test_trimmed_mean_is_that_of_a_sorted_cohort(n: int, seed: int, share: float) -> None:
    updates, f = _updates(n, seed), int(share * n)
    want = np.sort(updates.astype(np.float64), axis=0)[f : n - f].mean(axis=0)
    got = trimmed_mean(updates, n_byzantine=f)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, want, rtol=0, atol=n * 2.0**-23)


@pytest.mark.parametrize("rule", RULES)
@given(n=cohorts, seed=seeds)
def test_result_does_not_depend_on_the_order_of_updates(rule: Rule, n: int, seed: int) -> None:
    updates, f = _updates(n, seed), (n - 1) // 4
    shuffled = np.random.default_rng(seed).permutation(updates)
    np.testing.assert_array_equal(
        rule(updates, n_byzantine=f), rule(np.ascontiguousarray(shuffled), n_byzantine=f)
    )


@pytest.mark.parametrize("rule", RULES)
@given(n=cohorts, seed=seeds, attack=st.sampled_from([np.nan, -np.nan, np.inf, -np.inf, 3e38, 0]))
@example(n=5, seed=0, attack=-np.nan)
def test_a_minority_cannot_leave_the_range_of_the_others(
    rule: Rule, n: int, seed: int, attack: float
) -> None:
    f = (n - 1) // 2
    honest = _updates(n - f, seed).round(2)
    updates = np.concatenate([honest, np.full((f, 70), attack, np.float32)])
    got = rule(updates, n_byzantine=f)
    slack = np.float32(1e-5)  # a mean is rounded
    assert np.all(honest.min(axis=0) - slack <= got)
    assert np.all(got <= honest.max(axis=0) + slack)


@pytest.mark.parametrize("rule", RULES)
def test_updates_are_not_changed(rule: Rule) -> None:
    updates = _updates(9, 0)
    before = updates.copy()
    rule(updates, n_byzantine=2)
    np.testing.assert_array_equal(updates, before)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(("n", "n_byzantine"), [(0, 0), (1, 1), (4, 2), (5, 3), (5, -1)])
def test_as_many_byzantine_as_half_is_refused(rule: Rule, n: int, n_byzantine: int) -> None:
    with pytest.raises(ValueError, match=f"half of {n} updates"):
        rule(np.zeros((n, 3), np.float32), n_byzantine=n_byzantine)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(
    "updates",
    [np.zeros((3, 3)), np.zeros(3, np.float32), np.zeros((3, 3, 3), np.float32)],
    ids=["float64", "one axis", "three axes"],
)
def test_other_than_a_float32_matrix_is_refused(rule: Rule, updates: Vector) -> None:
    with pytest.raises(ValueError, match=r"float32 of shape \(n, n_params\)"):
        rule(updates, n_byzantine=0)


@pytest.mark.parametrize("rule", RULES)
def test_updates_in_columns_are_refused(rule: Rule) -> None:
    with pytest.raises(ValueError, match="next to each other"):
        rule(np.zeros((3, 4), np.float32).T, n_byzantine=1)
