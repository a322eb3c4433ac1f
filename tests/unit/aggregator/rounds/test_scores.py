"""How far an update is from the others: worked by hand, then what a minority cannot do."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedge.aggregator.rounds.directions import MOST, cosines, direction, draw
from fedge.aggregator.rounds.scores import Seen, score, turn
from fedge.aggregator.state.records import Score
from fedge.types import DeviceId
from tests.support.cohorts import dense, of_rows

ROWS = [[3.0, 4.0], [0.0, 2.0], [1.0, 0.0], [-10.0, 0.0]]
NORMS = [5.0, 2.0, 1.0, 10.0]


def seen(name: str, norm: float = 1.0, loss: float | None = None, *, counts: bool = True) -> Seen:
    return Seen(device=DeviceId(name), norm=norm, loss=loss, counts=counts)


def test_each_update_counts_once_in_the_direction_whatever_its_length() -> None:
    """(0.6, 0.8) + (0, 1) + (1, 0) + (-1, 0)."""
    total = direction(of_rows(ROWS), NORMS, range(4))
    np.testing.assert_allclose(total, [0.6, 1.8], rtol=1e-6)


def test_a_cosine_is_with_the_sum_of_the_others() -> None:
    """The first one's others are (0, 1) + (1, 0) + (-1, 0) = (0, 1): cosine 0.8, and so on."""
    total = direction(of_rows(ROWS), NORMS, range(4))
    found = cosines([dense(*row) for row in ROWS], NORMS, total, are_in_it=True)
    want = [
        0.8,
        0.8 / math.hypot(0.6, 0.8),
        -0.4 / math.hypot(0.4, 1.8),
        -1.6 / math.hypot(1.6, 1.8),
    ]
    assert found == pytest.approx(want, rel=1e-6)


def test_one_that_does_not_count_is_compared_with_all_that_do() -> None:
    total = direction(of_rows(ROWS[:3]), NORMS[:3], range(3))  # (1.6, 1.8)
    (found,) = cosines([dense(-10.0, 0.0)], [10.0], total, are_in_it=False)
    assert found == pytest.approx(-1.6 / math.hypot(1.6, 1.8), rel=1e-6)


def test_zeros_have_no_direction_nor_has_a_lone_update_others() -> None:
    total = direction(of_rows([[0.0, 0.0], [3.0, 4.0]]), [0.0, 5.0], range(2))
    found = cosines([dense(0, 0), dense(3, 4)], [0.0, 5.0], total, are_in_it=True)
    assert found == [None, None]


def test_of_a_large_cohort_a_hundred_and_more_are_drawn_the_same_ones_again() -> None:
    assert draw(MOST, (0, 1)) == list(range(MOST))
    drawn = draw(10_000, (0, 1))
    assert len(set(drawn)) == MOST
    assert drawn == sorted(drawn) == draw(10_000, (0, 1))
    assert drawn != draw(10_000, (0, 2))


def test_lengths_and_losses_are_told_in_medians_and_robust_deviations() -> None:
    """Losses 1 2 3 4 5 and 10: median 3.5, distances .5 .5 1.5 1.5 2.5 6.5, their median 1.5."""
    losses = [1.0, 2.0, 3.0, 4.0, 5.0, 10.0]
    found = score([seen(str(loss), loss, loss) for loss in losses], 3.0)
    assert [one.norm for one in found] == pytest.approx([1 / 3, 2 / 3, 1, 4 / 3, 5 / 3, 10 / 3])
    assert found[-1].loss == pytest.approx(6.5 / (1.4826 * 1.5))
    assert found[-1].marks == {"long"}
    assert [one.marks for one in found[:-1]] == [frozenset()] * 5


def told(name: str, loss: float | None, evaluated: float | None) -> Seen:
    return replace(seen(name, loss=loss), evaluated=evaluated)


def test_of_the_two_losses_the_one_that_is_farther_counts() -> None:
    """Evaluated 1 2 3 4 5 and 10, as above; in training all the same but one.

    Training losses 2 2 2 2 2 and 4: the deviation is 5 % of the median, 0.1.
    """
    evaluated = [10.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    losses = [2.0, 2.0, 2.0, 2.0, 2.0, 4.0]
    pairs = zip(losses, evaluated, strict=True)
    found = score([told(str(place), *pair) for place, pair in enumerate(pairs)], None)
    assert found[0].loss == pytest.approx(6.5 / (1.4826 * 1.5))
    assert found[-1].loss == pytest.approx(2 / 0.1)
    assert [one.marks for one in found] == [frozenset()] * 5 + [{"lossy"}]


def test_what_was_not_evaluated_or_by_too_few_is_judged_by_training_alone() -> None:
    cohort = [told(str(n), 1.0, 1.0 if n < 4 else None) for n in range(6)]  # four say so
    cohort[0] = told("0", 1.0, 1e30)
    assert all(one.loss == 0 for one in score(cohort, None))
    alone = [told(str(n), None, 1.0) for n in range(6)]
    alone[0], alone[1] = told("0", None, 2.0), told("1", None, None)
    found = score(alone, None)
    assert found[0].marks == {"lossy"}  # (2 - 1) / 0.05
    assert found[1].loss is None


Told = tuple[Seen, float | None]  # an update and its cosine

OTHERS: list[Told] = [  # six ordinary updates
    (seen(f"honest-{number}", loss=1 + number / 10), 0.2 + number / 10) for number in range(6)
]


def judged(*told: Told) -> list[Score]:
    """A cohort with a median norm of 1."""
    scores = score([one for one, _ in told], 1.0)
    cosines_ = {place: cosine for place, (_, cosine) in enumerate(told) if cosine is not None}
    return turn(scores, cosines_, [place for place in cosines_ if told[place][0].counts])


def marks(norm: float = 1.0, cosine: float | None = 0.4, loss: float | None = None) -> set[str]:
    return set(judged(*OTHERS, (seen("eve", norm, loss), cosine))[-1].marks)


def test_one_more_than_eight_times_as_long_as_the_median_is_suspect() -> None:
    assert marks(norm=8.5) == {"suspect", "long"}
    assert marks(norm=8.0) == {"long"}


def test_direction_or_loss_alone_are_no_reason_but_together_they_are() -> None:
    assert marks(cosine=-0.9) == {"opposed"}
    assert marks(loss=9.0) == {"lossy"}
    assert marks(norm=3.1, loss=9.0) == {"long", "lossy"}
    assert marks(cosine=-0.9, loss=9.0) == {"suspect", "opposed", "lossy"}
    assert marks(cosine=-0.9, norm=3.1) == {"suspect", "opposed", "long"}


def test_opposed_is_more_than_three_robust_deviations_below_the_median_cosine() -> None:
    """Cosines .2 .3 .4 .5 .6 .7 and x: median .4, distances 0 .1 .1 .2 .2 .3 and .4 - x."""
    three = 3 * 1.4826 * 0.2
    assert marks(cosine=0.4 - three + 1e-6) == set()
    assert marks(cosine=0.4 - three - 1e-6) == {"opposed"}


def test_a_low_loss_a_short_update_and_close_agreement_are_nothing_to_note() -> None:
    assert marks(norm=1e-9, cosine=1.0, loss=0.0) == set()


def test_without_enough_others_nothing_is_said() -> None:
    two = judged((seen("ann"), 0.5), (seen("eve", 1e9, 1e9), -1.0))
    assert all(one.norm is None and one.loss is None and not one.marks for one in two)
    four = judged(*OTHERS[:3], (seen("eve", 9.0, 1e9), -1.0))
    assert four[-1].marks == {"suspect", "long"}  # three are a majority of lengths
    assert four[-1].loss is None  # but say nothing about a spread


def test_one_that_does_not_count_moves_nobody_elses_score() -> None:
    found = judged(*OTHERS, (seen("eve", 1e9, 1e9, counts=False), -1.0))
    assert found[:-1] == judged(*OTHERS)
    assert found[-1].marks == {"suspect", "long", "lossy", "opposed"}


def test_equal_updates_are_not_suspect_for_the_rounding_between_them() -> None:
    twins = [(seen(str(n), loss=0.5 + n * 1e-9), 1 - n * 1e-9) for n in range(8)]
    assert not any(one.marks for one in judged(*twins))


@given(
    honest=st.lists(st.tuples(st.floats(0.5, 2), st.floats(1, 2)), min_size=7, max_size=9),
    bad=st.lists(st.tuples(st.floats(0, 1e9), st.floats(-1e9, 1e9)), max_size=3),
)
def test_three_of_ten_cannot_make_another_suspect_by_lengths_and_losses_alone(
    honest: list[tuple[float, float]], bad: list[tuple[float, float]]
) -> None:
    """Whatever they send and say: honest norms that differ fourfold stay within eight medians."""
    cohort = [seen(f"honest-{number}", *facts) for number, facts in enumerate(honest)]
    cohort += [seen(f"bad-{number}", *facts) for number, facts in enumerate(bad)]
    norms = sorted(one.norm for one in cohort if one.norm)
    found = score(cohort, norms[(len(norms) - 1) // 2])
    assert not any("suspect" in one.marks for one in found[: len(honest)])
