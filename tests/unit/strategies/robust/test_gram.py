"""Inner products of the rows that are finite, whatever the others are."""

import numpy as np
import pytest

from fedge.strategies.robust import rows as rows_module
from fedge.strategies.robust.gram import centred_gram, gram_about
from fedge.strategies.robust.rows import finite_rows


def test_inner_products_by_hand() -> None:
    """Of (3, 4), (0, 1), (-1, 0); about (1, 1) of (2, 3), (-1, 0), (-2, -1)."""
    rows = finite_rows(np.array([[3, 4], [0, 1], [-1, 0]], np.float32), 1)
    np.testing.assert_array_equal(rows.norms, [5, 1, 1])
    np.testing.assert_array_equal(gram_about(rows), [[25, 4, -3], [4, 1, 0], [-3, 0, 1]])
    about = gram_about(rows, np.ones(2, np.float32))
    np.testing.assert_array_equal(about, [[13, -2, -7], [-2, 1, 2], [-7, 2, 5]])


def test_the_centre_is_the_mean_of_the_shorter_half() -> None:
    """Of 1, 5, 3 and -4000 these are 1 and 3: about 2 there is -1, 3, 1 and -4002."""
    rows = finite_rows(np.array([[1], [5], [3], [-4000]], np.float32), 1)
    differences = np.array([-1.0, 3.0, 1.0, -4002.0])
    np.testing.assert_array_equal(centred_gram(rows), np.outer(differences, differences))


def test_rows_that_are_not_finite_are_left_out_and_counted() -> None:
    updates = np.array([[1, 2], [np.nan, 0], [3, 4], [0, -np.inf], [5, 6], [7, 8]], np.float32)
    rows = finite_rows(updates, 2)
    assert rows.places.tolist() == [0, 2, 4, 5]
    assert rows.n_byzantine == 0
    assert finite_rows(updates, 1).n_byzantine == 0  # more than expected: the rest is honest
    np.testing.assert_array_equal(rows.weighted_sum(np.array([1.0, 0, 0, 2])), [15, 18])
    np.testing.assert_array_equal(gram_about(rows), updates[rows.places] @ updates[rows.places].T)


@pytest.mark.parametrize("exponent", [-120, -60, 0, 60, 120])
def test_rows_of_any_length_have_the_products_of_their_multiples(exponent: int) -> None:
    """Rows of one, three and nine times a power of two, whose squares no float32 has."""
    updates = np.ldexp(np.array([[1, 1], [3, 3], [9, -9]], np.float32), exponent)
    want = np.ldexp(np.array([[2.0, 6.0, 0.0], [6.0, 18.0, 0.0], [0.0, 0.0, 162.0]]), 2 * exponent)
    np.testing.assert_array_equal(gram_about(finite_rows(updates, 1)), want)


def test_how_wide_the_tiles_are_changes_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    updates = np.random.default_rng(0).standard_normal((9, 70_001), np.float32)
    wide = centred_gram(finite_rows(updates, 2))
    monkeypatch.setattr(rows_module, "_TILE_BYTES", 1)
    np.testing.assert_array_equal(centred_gram(finite_rows(updates, 2)), wide)
