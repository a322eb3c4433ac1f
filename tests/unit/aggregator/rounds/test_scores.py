"""How far an update is from the others: worked by hand, then what a minority cannot do."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedge.aggregator.rounds.directions import MOST, cosines, direction, draw
from fedge.aggregator.rounds.scores import Seen, score
from fedge.types import DeviceId
from tests.support.cohorts import dense, of_rows

ROWS = [[3.0, 4.0], [0.0, 2.0], [1.0, 0.0], [-10.0, 0.0]]
NORMS = [5.0, 2.0, 1.0, 10.0]


def seen(
    name: str, norm: float = 1.0, cosine: float | None = None, loss: float | None = None,
    *, counts: bool = True,
) -> Seen:  # fmt: skip
    return Seen(
        device=DeviceId(name), norm=norm, cosine=cosine, loss=loss, counts=counts, cuts=frozenset()
    )


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


def test_of_a_large_cohort_a_thousand_are_drawn_the_same_ones_again() -> None:
    assert draw(MOST, (0, 1)) == list(range(MOST))
    drawn = draw(10_000, (0, 1))
    assert len(set(drawn)) == MOST
    assert drawn == sorted(drawn) == draw(10_000, (0, 1))
    assert drawn != draw(10_000, (0, 2))


def test_lengths_and_losses_are_told_in_medians_and_robust_deviations() -> None:
    """Losses 1 2 3 4 5 and 10: median 3.5, distances .5 .5 1.5 1.5 2.5 6.5, their median 1.5."""
    losses = [1.0, 2.0, 3.0, 4.0, 5.0, 10.0]
    cohort = [seen(str(loss), norm=loss, loss=loss) for loss in losses]
    found = score(cohort, 3.0)
    assert [one.norm for one in found] == pytest.approx([1 / 3, 2 / 3, 1, 4 / 3, 5 / 3, 10 / 3])
    assert found[-1].loss == pytest.approx(6.5 / (1.4826 * 1.5))
    assert found[-1].marks == {"long"}
    assert [one.marks for one in found[:-1]] == [frozenset()] * 5


def others(**facts: float) -> list[Seen]:
    """Six ordinary updates: cosines 0.2 to 0.7, losses 1.0 to 1.5."""
    return [
        seen(f"honest-{number}", cosine=0.2 + number / 10, loss=1 + number / 10)
        for number in range(6)
    ]


def marks(one: Seen) -> set[str]:
    return set(score([*others(), one], 1.0)[-1].marks)


def test_one_six_times_as_long_as_the_median_is_suspect() -> None:
    assert marks(seen("eve", norm=6.0)) == {"suspect", "long"}
    assert marks(seen("eve", norm=5.0)) == {"long"}


def test_direction_or_loss_alone_are_no_reason_but_together_they_are() -> None:
    assert marks(seen("eve", cosine=-0.9)) == {"opposed"}
    assert marks(seen("eve", loss=9.0)) == {"lossy"}
    assert marks(seen("eve", norm=2.1, loss=9.0)) == {"long", "lossy"}
    assert marks(seen("eve", cosine=-0.9, loss=9.0)) == {"suspect", "opposed", "lossy"}
    assert marks(seen("eve", cosine=-0.9, norm=2.1)) == {"suspect", "opposed", "long"}


def test_a_low_loss_a_short_update_and_close_agreement_are_nothing_to_note() -> None:
    assert marks(seen("eve", norm=1e-9, cosine=1.0, loss=0.0)) == set()


def test_without_enough_others_nothing_is_said() -> None:
    two = score([seen("ann"), seen("eve", norm=1e9, cosine=-1.0, loss=1e9)], 1.0)
    assert all(one.norm is None and one.loss is None and not one.marks for one in two)
    four = score([*others()[:3], seen("eve", norm=9.0, cosine=-1.0, loss=1e9)], 1.0)
    assert four[-1].marks == {"suspect", "long"}  # three are a majority of lengths
    assert four[-1].loss is None  # but say nothing about a spread


def test_one_that_does_not_count_moves_nobody_elses_score() -> None:
    alone = score(others(), 1.0)
    out = seen("eve", norm=1e9, cosine=-1.0, loss=1e9, counts=False)
    found = score([*others(), out], 1.0)
    assert found[:-1] == alone
    assert "suspect" in found[-1].marks


def test_equal_updates_are_not_suspect_for_the_rounding_between_them() -> None:
    twins = [seen(str(n), cosine=1 - n * 1e-9, loss=0.5 + n * 1e-9) for n in range(8)]
    assert not any(one.marks for one in score(twins, 1.0))


@given(
    losses=st.lists(st.floats(1, 2), min_size=7, max_size=9),
    bad=st.lists(st.floats(-1e9, 1e9), max_size=3),
)
def test_three_of_ten_cannot_make_another_ones_loss_unusual_by_lies_alone(
    losses: list[float], bad: list[float]
) -> None:
    """Whatever they say, nobody becomes suspect for a loss without a direction."""
    cohort = [seen(f"honest-{number}", loss=loss) for number, loss in enumerate(losses)]
    cohort += [seen(f"bad-{number}", loss=loss) for number, loss in enumerate(bad)]
    assert not any("suspect" in one.marks for one in score(cohort, 1.0))
