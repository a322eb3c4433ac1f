"""Examples that are held out: as many as asked for, at random, and for ever."""

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from fedge.training import ArrayData
from fedge.training.holdout import held_out, split

shares = st.floats(0, 0.99)
seeds = st.integers(0, 2**63 - 1)


def test_one_of_every_ten_is_held_out() -> None:
    found = held_out(100, 0.1, 7)
    assert (found // 10).tolist() == list(range(10))
    assert len(set(found % 10)) > 3  # drawn, not every tenth
    assert held_out(100, 0.1, 8).tolist() != found.tolist()


@given(st.integers(0, 300), shares, seeds)
@example(1, 0.99, 0)
@example(2, 0.5, 0)
@example(300, 5e-324, 0)
def test_there_are_about_as_many_as_asked_for_and_one_stays_for_training(
    n: int, share: float, seed: int
) -> None:
    found = held_out(n, share, seed)
    assert abs(len(found) - n * share) < 2
    assert n == 0 or len(found) < n
    assert (np.diff(found) > 0).all()
    assert not len(found) or (found[0] > 0 and found[-1] < n)


@given(st.integers(0, 300), st.integers(0, 300), shares, seeds)
def test_an_example_never_moves_when_others_are_added_behind_it(
    n: int, n_more: int, share: float, seed: int
) -> None:
    after = held_out(n + n_more, share, seed)
    np.testing.assert_array_equal(held_out(n, share, seed), after[after < n])


def test_every_example_but_the_first_is_as_likely_as_any_other() -> None:
    """Over 4000 seeds each of ten is drawn a ninth of the time: 444 times, within 4 deviations."""
    counts = np.zeros(10)
    for seed in range(4000):
        counts[held_out(10, 0.1, seed)] += 1
    assert counts[0] == 0
    assert (np.abs(counts[1:] - 444.4) < 4 * np.sqrt(4000 * (1 / 9) * (8 / 9))).all()


def test_both_parts_together_are_all_examples_and_none_is_in_both() -> None:
    data = ArrayData({"x": np.arange(20.0)[:, None]}, np.arange(20.0))
    parts = split(data, 0.25, 3)
    assert parts.validation is not None
    assert parts.validation.n_examples == 5
    seen = [part.batch(np.arange(part.n_examples)) for part in (parts.training, parts.validation)]
    assert sorted([*seen[0][1], *seen[1][1]]) == list(range(20))
    for inputs, targets in seen:
        np.testing.assert_array_equal(inputs["x"][:, 0], targets)


def test_without_a_share_nothing_is_held_out() -> None:
    data = ArrayData({"x": np.zeros((9, 1))}, np.zeros(9))
    assert split(data, 0.0, 3).training is data
    assert split(data, 0.0, 3).validation is None
