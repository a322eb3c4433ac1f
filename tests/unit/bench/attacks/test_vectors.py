"""What hostile devices send, by hand and by ByzFL 0.0.11's own examples."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fedge.bench.attacks import vectors
from fedge.types import Vector


def rows(*values: object) -> Vector:
    return np.array(values, np.float32)


SQUARE = rows([1, 2, 3], [4, 5, 6], [7, 8, 9])  # the example in ByzFL's documentation
COHORTS = hnp.arrays(
    np.float32, st.tuples(st.integers(2, 6), st.integers(1, 4)), elements=st.integers(-100, 100)
)


def test_attacks_of_byzfl_give_what_its_documentation_says() -> None:
    flipped = vectors.inner_product_manipulation(SQUARE, tau=1.0)
    np.testing.assert_array_equal(flipped, [-4, -5, -6])
    np.testing.assert_array_equal(vectors.inner_product_manipulation(SQUARE), [-8, -10, -12])
    np.testing.assert_array_equal(vectors.a_little_is_enough(SQUARE), [8.5, 9.5, 10.5])
    np.testing.assert_array_equal(vectors.mimic(SQUARE), [1, 2, 3])


def test_ten_times_the_flipped_mean() -> None:
    got = vectors.inner_product_manipulation(SQUARE, tau=10.0)
    np.testing.assert_array_equal(got, [-40, -50, -60])


def test_noise_has_the_deviation_it_was_asked_for_and_the_rng_decides() -> None:
    honest = np.zeros((2, 40_000), np.float32)
    got = vectors.gaussian(honest, np.random.default_rng(0), sigma=3.0)
    assert got.mean() == pytest.approx(0, abs=0.06)  # four standard errors
    assert got.std() == pytest.approx(3, rel=0.02)
    again = vectors.gaussian(honest, np.random.default_rng(0), sigma=3.0)
    np.testing.assert_array_equal(got, again)


def test_min_max_goes_as_far_from_the_farthest_as_two_honest_ones_are_apart() -> None:
    # Mean 1; 0 and 3 are 3 apart, and 0 is 3 below 3.
    np.testing.assert_allclose(vectors.min_max(rows([0], [0], [3])), [0], atol=1e-6)
    # Both parameters have mean 1 and the same deviation, so the delta is (1 - t, 1 - t). The
    # farthest two are (3, 0) and (0, 3), 18 apart squared, and (2 + t)^2 + (1 - t)^2 = 18
    # where t = 2.0981.
    got = vectors.min_max(rows([0, 0], [3, 0], [0, 3]))
    np.testing.assert_allclose(got, [1 - 2.0981, 1 - 2.0981], atol=1e-4)


def test_min_sum_goes_as_far_as_the_sum_of_squares_of_the_farthest_honest_one() -> None:
    # 3 is 9 + 9 = 18 from the others; at 1 - t the sum is 3 t^2 + 6, so t = 2.
    np.testing.assert_allclose(vectors.min_sum(rows([0], [0], [3])), [-1], atol=1e-6)


def _squared_to(point: Vector, honest: Vector) -> Vector:
    squared: Vector = ((honest.astype(np.float64) - point) ** 2).sum(axis=1)
    return squared


@given(COHORTS)
def test_min_max_and_min_sum_use_their_bound_up(honest: Vector) -> None:
    pairs = np.stack([_squared_to(row, honest) for row in honest])
    got = _squared_to(vectors.min_max(honest), honest).max()
    assert got == pytest.approx(pairs.max(), rel=1e-4, abs=1e-4)
    total = _squared_to(vectors.min_sum(honest), honest).sum()
    assert total == pytest.approx(pairs.sum(axis=1).max(), rel=1e-4, abs=1e-4)


@given(COHORTS)
def test_min_max_and_min_sum_stay_below_the_mean(honest: Vector) -> None:
    mean = honest.mean(axis=0)
    assert (vectors.min_max(honest) <= mean + 1e-4).all()
    assert (vectors.min_sum(honest) <= mean + 1e-4).all()


@pytest.mark.parametrize("attack", [vectors.min_max, vectors.min_sum, vectors.a_little_is_enough])
def test_devices_that_agree_leave_no_room(attack: object) -> None:
    assert callable(attack)
    np.testing.assert_array_equal(attack(rows([1, 2], [1, 2])), [1, 2])
    np.testing.assert_array_equal(attack(rows([1, 2])), [1, 2])


def test_zero_is_a_zero_for_each_parameter() -> None:
    np.testing.assert_array_equal(vectors.zero(SQUARE), [0, 0, 0])


def test_a_replacement_makes_the_mean_what_it_wants() -> None:
    # The hostile devices want (2 * 1 + 0 * 3, 0 * 1 + 4 * 3) / 4 = (0.5, 3), with 4 of 20 examples.
    own = rows([2, 0], [0, 4])
    got = vectors.replacement(own, np.array([1, 3]), n_total=20)
    np.testing.assert_array_equal(got, [2.5, 15])
    np.testing.assert_allclose((1 + 3) / 20 * got, [0.5, 3])


def test_one_device_of_n_with_equal_weights_replaces_with_n_times_the_difference() -> None:
    got = vectors.replacement(rows([1, -2]), np.array([7]), n_total=70)
    np.testing.assert_array_equal(got, [10, -20])


def test_every_attack_sends_float32() -> None:
    sent = [
        vectors.inner_product_manipulation(SQUARE),
        vectors.a_little_is_enough(SQUARE),
        vectors.gaussian(SQUARE, np.random.default_rng(0)),
        vectors.mimic(SQUARE),
        vectors.min_max(SQUARE),
        vectors.min_sum(SQUARE),
        vectors.zero(SQUARE),
        vectors.replacement(SQUARE, np.ones(3), n_total=10),
    ]
    assert {str(delta.dtype) for delta in sent} == {"float32"}
    assert {delta.shape for delta in sent} == {(3,)}
