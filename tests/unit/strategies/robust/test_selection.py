"""How robust rules decide: by hand on a line, against a search through all subsets, and ties."""

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedge.strategies.robust import selection
from fedge.types import Array

LINE = np.array([[0.0], [1.0], [2.5], [4.0], [100.0]])  # the last one lies
small = st.integers(-2, 2)
seeds = st.integers(0, 2**32 - 1)


def gram(rows: Array, *, about: Array | None = None) -> Array:
    centred = rows - (rows.mean(axis=0) if about is None else about)
    return np.asarray((centred[:, None] * centred[None]).sum(axis=2))


def test_squared_distances_are_exact_where_they_are_zero() -> None:
    rows = np.array([[3.0, 4.0], [0.0, 0.0], [3.0, 4.0]])
    got = selection.squared_distances(gram(rows, about=np.zeros(2)))
    np.testing.assert_array_equal(got, [[0, 25, 0], [25, 0, 25], [0, 25, 0]])


@given(seeds)
def test_squared_distances_are_never_negative(seed: int) -> None:
    rows = 1e6 + np.random.default_rng(seed).normal(scale=1e-9, size=(9, 4))
    got = selection.squared_distances(gram(rows, about=np.zeros(4)))
    assert np.all(got >= 0)
    np.testing.assert_array_equal(got, got.T)


def test_krum_by_hand() -> None:
    """Sums of three squares: 23.25, 12.25, 10.75, 27.25, and far more for 100."""
    assert selection.krum_choice(gram(LINE), 1) == 2


def test_krum_takes_the_first_of_equals() -> None:
    assert selection.krum_choice(gram(np.ones((5, 2))), 1) == 0
    assert selection.krum_choice(gram(np.array([[9.0], [0.0], [1.0], [0.0], [1.0]])), 1) == 1


def test_multi_krum_by_hand() -> None:
    np.testing.assert_array_equal(
        selection.multi_krum_weights(gram(LINE), 1), [0.25, 0.25, 0.25, 0.25, 0]
    )
    np.testing.assert_array_equal(
        selection.multi_krum_weights(gram(LINE), 1, m=2), [0, 0.5, 0.5, 0, 0]
    )


def test_bulyan_chooses_one_after_another() -> None:
    """Of 7 with one liar: five times the least sum over all that are left but two others.

    First four nearest: 0 has 30, 1 has 15, 2 and 3 have 10, 4 has 15, 5 has 30; so 2. Of 0, 1, 3,
    4, 5, 100 three nearest: 26, 14, 9, 11, 21; so 3. Of 0, 1, 4, 5, 100 two nearest: 17, 10, 10,
    17; so 1. Of 0, 4, 5, 100 one nearest: 16, 1, 1; so 4. Of 0, 5, 100: 25, 25; so 0.
    """
    rows = np.array([[0.0], [1.0], [2.0], [3.0], [4.0], [5.0], [100.0]])
    np.testing.assert_array_equal(selection.bulyan_choices(gram(rows), 1), [0, 1, 2, 3, 4])


def test_a_row_becomes_the_mean_of_its_nearest() -> None:
    mixture = selection.nearest_neighbor_mixture(gram(LINE), 1)
    np.testing.assert_array_equal(mixture @ LINE, [[1.875]] * 4 + [[26.875]])
    np.testing.assert_array_equal(mixture.sum(axis=1), np.ones(5))


def test_of_rows_at_the_same_distance_the_first_are_mixed() -> None:
    """Of 0 the nearest two are itself and 1, not -1."""
    mixture = selection.nearest_neighbor_mixture(gram(np.array([[0.0], [1.0], [-1.0]])), 1)
    np.testing.assert_array_equal(mixture, [[0.5, 0.5, 0], [0.5, 0.5, 0], [0.5, 0, 0.5]])


@pytest.mark.parametrize(
    ("rows", "want"),
    [
        (LINE, [2.5]),  # on a line it is the median
        (np.array([[0.0, 0], [4, 0], [2, 2 * math.sqrt(3)]]), [2, 2 / math.sqrt(3)]),  # equilateral
        (np.array([[-4.0, 1], [0, 0], [4, 1]]), [0, 0]),  # an angle of more than 120 degrees
        (np.array([[1.0, 0], [0, 2], [-3, 0], [0, -4]]), [0, 0]),  # where the diagonals cross
        (np.array([[1.0, 5], [1, 5], [1, 5], [70, 80]]), [1, 5]),  # a majority in one place
        (np.full((3, 2), 7.0), [7, 7]),
    ],
    ids=["line", "equilateral", "obtuse", "convex", "majority", "all the same"],
)
def test_geometric_median_has_its_closed_form(rows: Array, want: list[float]) -> None:
    weights = selection.geometric_median_weights(gram(rows))
    assert weights.sum() == pytest.approx(1)
    np.testing.assert_allclose(weights @ rows, want, atol=2e-4)


@given(seeds)
def test_no_point_nearby_has_a_smaller_sum_of_distances(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(8, 5)) * rng.choice([1, 30], size=(8, 1))
    median = selection.geometric_median_weights(gram(rows)) @ rows
    steps = rng.normal(size=(50, 5)) * 10.0 ** rng.integers(-4, 1, size=(50, 1))

    def cost(point: Array) -> float:
        return float(np.linalg.norm(rows - point, axis=1).sum())

    assert all(cost(median) <= cost(median + step) + 1e-6 for step in steps)


def test_shares_of_clipping_by_hand() -> None:
    np.testing.assert_array_equal(
        selection.clip_shares(np.array([1.0, 2, 4, 0]), 2), [1, 1, 0.5, 1]
    )
    np.testing.assert_array_equal(selection.clip_shares(np.array([1.0, 0]), 0), [0, 1])


def test_adaptive_clipping_makes_the_longest_as_long_as_the_next() -> None:
    """2 * 1 * 4 / 5 = 1.6: one row. 2 * 3 * 6 / 9 = 4: four rows."""
    np.testing.assert_array_equal(
        selection.arc_shares(np.array([1.0, 5, 2, 3, 4]), 1), [1, 0.8, 1, 1, 1]
    )
    got = selection.arc_shares(np.array([1.0, 2, 4, 4, 5, 8, 10, 10, 16]), 3)
    np.testing.assert_array_equal(got, [1, 1, 1, 1, 1, 0.625, 0.5, 0.5, 0.3125])


def test_centered_clipping_by_hand() -> None:
    """Of 3 and 1 with tau = 2: to (2 + 1) / 2 = 1.5, then to 1.5 + (1.5 - 0.5) / 2 = 2."""
    rows = np.array([[3.0], [1.0]])
    about = gram(rows, about=np.zeros(1))
    assert selection.centered_clipping_weights(about, 2, 0) @ rows == [0]
    assert selection.centered_clipping_weights(about, 2, 1) @ rows == pytest.approx([1.5])
    assert selection.centered_clipping_weights(about, 2, 2) @ rows == pytest.approx([2])


def test_centered_clipping_moves_no_farther_than_tau_a_step() -> None:
    rows = np.array([[1e6, 0], [1e6, 0], [0.5, 0.0]])
    weights = selection.centered_clipping_weights(gram(rows, about=np.zeros(2)), 1, 3)
    assert 0 < np.linalg.norm(weights @ rows) <= 3


def test_minimum_diameter_by_hand() -> None:
    """Of 0, 1, 2.5, 4 any three: 0, 1, 2.5 have 2.5. Of 0, 1, 2 any two: 0, 1 come first."""
    third = 1 / 3
    got = selection.minimum_diameter_weights(gram(LINE), 2)
    np.testing.assert_array_equal(got, [third, third, third, 0, 0])
    got = selection.minimum_diameter_weights(gram(np.array([[0.0], [1.0], [2.0]])), 1)
    np.testing.assert_array_equal(got, [0.5, 0.5, 0])


@given(st.lists(st.tuples(small, small), min_size=3, max_size=9), st.data())
def test_minimum_diameter_is_that_of_a_search_through_all_subsets(
    points: list[tuple[int, int]], data: st.DataObject
) -> None:
    n, rows = len(points), np.array(points, np.float64)
    f = data.draw(st.integers(0, (n - 1) // 2))
    distances = selection.squared_distances(gram(rows, about=np.zeros(2)))
    want = min(itertools.combinations(range(n), n - f), key=lambda s: distances[np.ix_(s, s)].max())
    got = selection.minimum_diameter_weights(gram(rows, about=np.zeros(2)), f)
    assert tuple(np.flatnonzero(got)) == want


def test_minimum_diameter_needs_no_list_of_subsets() -> None:
    """50 updates without 20 have 4.7e13 subsets."""
    rows = np.random.default_rng(0).normal(size=(50, 30))
    assert np.count_nonzero(selection.minimum_diameter_weights(gram(rows), 20)) == 30


def test_least_eigenvalue_by_hand() -> None:
    """Sums of squares about the mean: 3.17 of 0, 1, 2.5, and 4.5 of 1, 2.5, 4."""
    got = selection.smallest_eigenvalue_weights(gram(LINE), 2)
    np.testing.assert_array_equal(got > 0, [True, True, True, False, False])


@given(seeds, st.integers(1, 2))
def test_least_eigenvalue_is_that_of_a_search_through_all_subsets(seed: int, f: int) -> None:
    rows = np.random.default_rng(seed).normal(size=(7, 3))

    def largest(subset: tuple[int, ...]) -> float:
        return float(np.linalg.eigvalsh(np.cov(rows[list(subset)].T))[-1])

    want = min(itertools.combinations(range(7), 7 - f), key=largest)
    assert tuple(np.flatnonzero(selection.smallest_eigenvalue_weights(gram(rows), f))) == want


def test_too_many_subsets_are_refused() -> None:
    with pytest.raises(ValueError, match=r"every subset of 40 of 50 .* found 10272278170"):
        selection.smallest_eigenvalue_weights(np.eye(50), 10)


def test_covariance_filter_by_hand() -> None:
    """Of 0, 0, 0, 10: about 2.5 the squares are 6.25 and 56.25, so the weights 8/9 and 0.

    They add up to 2.67, more than 4 - 2, so there is a second step; its variance is 0.
    """
    rows = np.array([[0.0], [0.0], [0.0], [10.0]])
    got = selection.covariance_filter_weights(gram(rows), 1)
    np.testing.assert_allclose(got, [1 / 3, 1 / 3, 1 / 3, 0])


@given(seeds)
def test_covariance_filter_follows_the_algorithm_in_the_space_of_parameters(seed: int) -> None:
    """NumPy's eigenvectors of the d x d covariance instead of ours of the n x n Gram matrix."""
    rng = np.random.default_rng(seed)
    rows, f = rng.normal(size=(9, 4)) * [3.0, 1.0, 0.5, 0.2], 2
    counts, best, least = np.ones(9), np.zeros(4), np.inf
    while counts.sum() > 9 - 2 * f:
        mean = counts @ rows / counts.sum()
        values, vectors = np.linalg.eigh(
            (counts[:, None] * (rows - mean)).T @ (rows - mean) / counts.sum()
        )
        if values[-1] < least:
            best, least = mean, values[-1]
        along = ((rows - mean) @ vectors[:, -1]) ** 2
        counts = counts * (1 - along / along.max())
    got = selection.covariance_filter_weights(gram(rows), f) @ rows
    np.testing.assert_allclose(got, best, atol=1e-6)


def test_covariance_filter_without_liars_is_the_mean() -> None:
    np.testing.assert_array_equal(
        selection.covariance_filter_weights(gram(LINE), 0), np.full(5, 0.2)
    )


def test_trust_by_hand() -> None:
    """About (2, 0): (1, 0) has cosine 1, (0, 3) and (-1, 0) no trust, (1, 1) cosine 0.707."""
    got = selection.fltrust_weights(
        np.array([2.0, 0, -2, 2]), np.array([1, 3, 1, math.sqrt(2)]), reference_norm=2.0
    )
    np.testing.assert_allclose(got, np.array([2, 0, 0, 1]) / (1 + math.sqrt(0.5)))


def test_without_trust_nothing_counts() -> None:
    got = selection.fltrust_weights(np.array([-1.0, 0]), np.array([1.0, 0]), reference_norm=1.0)
    np.testing.assert_array_equal(got, [0, 0])
    got = selection.fltrust_weights(np.zeros(2), np.ones(2), reference_norm=0.0)
    np.testing.assert_array_equal(got, [0, 0])


def test_clones_count_for_nothing_beside_an_honest_device() -> None:
    rows = np.array([[1.0, 0], [1, 0], [0, 1]])
    got = selection.foolsgold_weights(gram(rows, about=np.zeros(2)))
    np.testing.assert_array_equal(got, [0, 0, 1])


def test_half_alike_counts_by_the_logit() -> None:
    """Cosine 0.6 leaves 0.4 of a share of 1: ln(0.4 / 0.6) + 0.5 = 0.0945."""
    rows = np.array([[1.0, 0, 0], [0.6, 0.8, 0], [0, 0, 1]])
    got = selection.foolsgold_weights(gram(rows, about=np.zeros(3)))
    part = math.log(2 / 3) + 0.5
    np.testing.assert_allclose(got, np.array([part, part, 1]) / (1 + 2 * part))


def test_only_clones_leave_nothing() -> None:
    np.testing.assert_array_equal(selection.foolsgold_weights(np.ones((3, 3))), [0, 0, 0])
    np.testing.assert_array_equal(selection.foolsgold_weights(np.ones((1, 1))), [1])


CHOICES: list[Callable[[Array, int], object]] = [
    selection.krum_choice,
    selection.multi_krum_weights,
    selection.nearest_neighbor_mixture,
    selection.minimum_diameter_weights,
    selection.smallest_eigenvalue_weights,
    selection.covariance_filter_weights,
]


@pytest.mark.parametrize("choose", CHOICES)
@pytest.mark.parametrize(("n", "f"), [(0, 0), (1, 1), (4, 2), (5, 3), (5, -1)])
def test_as_many_byzantine_as_half_is_refused(
    choose: Callable[[Array, int], object], n: int, f: int
) -> None:
    with pytest.raises(ValueError, match=f"half of {n} updates"):
        choose(np.eye(n), f)


def test_other_input_is_refused() -> None:
    with pytest.raises(ValueError, match=r"square, not of shape \(2, 3\)"):
        selection.krum_choice(np.zeros((2, 3)), 0)
    with pytest.raises(ValueError, match="at least 7 updates in all, not 6"):
        selection.bulyan_choices(np.eye(6), 1)
    with pytest.raises(ValueError, match="m must be 1 to 5, not 6"):
        selection.multi_krum_weights(np.eye(5), 1, m=6)
    with pytest.raises(ValueError, match="c must be at least 0, not nan"):
        selection.clip_shares(np.ones(2), math.nan)
    with pytest.raises(ValueError, match="tau and iterations"):
        selection.centered_clipping_weights(np.eye(2), -1, 1)
    with pytest.raises(ValueError, match="half of 4 updates"):
        selection.arc_shares(np.ones(4), 2)
