"""A fleet's metrics: weighted by examples, quantiles by device, and no liar who owns them."""

import math

import numpy as np
import pytest

from fedge.training.metrics import Form, Sums, bounds, summarize, sums_of


def device(n: int, right: int, loss: float = 1.0) -> Sums:
    """So many right answers among n of class 1, each chosen with the same confidence."""
    scores = np.zeros((n, 2), np.float32)
    scores[:right, 1], scores[right:, 0] = 1, 1
    return sums_of(Form(2, 1), np.full(n, loss, np.float32), scores, np.ones(n, np.int64))


def numbers(error: float, n: int = 4) -> Sums:
    return sums_of(
        Form(None, 1), np.full(n, error**2, np.float32), np.full((n, 1), error), np.zeros((n, 1))
    )


def test_the_mean_is_by_examples_and_the_quantiles_are_by_device() -> None:
    """Accuracies 1, .5 and 0 on 10, 20 and 30 examples: 20 of 60 are right, the median is .5."""
    fleet = summarize([device(10, 10, 1), device(20, 10, 2), device(30, 0, 3)], [1, 1, 1])
    assert (fleet.n_devices, fleet.total.n_examples, fleet.bounded) == (3, 60, ())
    assert fleet.total.accuracy == pytest.approx(20 / 60)
    assert fleet.total.mean_loss == pytest.approx((10 + 40 + 90) / 60)
    # Between the ordered devices at 0, 1 and 2: a tenth of the way is 0.2.
    assert fleet.quantiles["accuracy"] == pytest.approx((0.1, 0.5, 0.9))
    assert fleet.quantiles["loss"] == pytest.approx((1.2, 2, 2.8))
    assert fleet.total.by_class is not None
    assert fleet.total.by_class.tolist() == [[0, 0], [40, 20]]


def test_the_worst_tenth_is_rounded_up_and_a_mean() -> None:
    """Of 20 devices two: the lowest accuracies are 0 and .1, the highest losses 19 and 20."""
    some = [device(20, min(20, 2 * place), 20 - place) for place in range(20)]
    fleet = summarize(some, bounds([20] * 20, 10))
    assert fleet.worst["accuracy"] == pytest.approx(0.05)
    assert fleet.worst["loss"] == pytest.approx(19.5)


def test_errors_of_numbers_are_roots_of_mean_squares() -> None:
    """Errors 1, 2 and 3: the mean square is 14 / 3, the quantiles are of their squares' roots."""
    fleet = summarize([numbers(1), numbers(2), numbers(3)], [1, 1, 1])
    assert fleet.total.rmse == pytest.approx(math.sqrt(14 / 3))
    assert fleet.total.mae == pytest.approx(2)
    assert fleet.quantiles["rmse"][1] == pytest.approx(2)
    assert fleet.worst == pytest.approx({"loss": 9, "rmse": 3, "mae": 3})
    assert "accuracy" not in fleet.quantiles


def test_a_device_s_examples_count_up_to_ten_medians() -> None:
    assert bounds([10, 10, 10, 1000], 10) == [1, 1, 1, 0.1]
    assert bounds([10, 10, 10, 1000], None) == [1, 1, 1, 1]
    assert bounds([], 10) == []


def test_one_liar_does_not_own_the_number() -> None:
    """Four honest devices at .9 and a loss of about 1; one says that all is wrong and infinite."""
    honest = [device(10, 9, loss) for loss in (0.8, 0.9, 1.1, 1.2)]
    liar = device(1000, 0, 1e30)
    fleet = summarize([*honest, liar], bounds([10, 10, 10, 10, 1000], 10))
    assert fleet.bounded == (4,)
    # It counts as 100 examples; its loss as the median 1.1 and five times that: 6.6. The furthest
    # of the four that are trusted is only .3 away.
    assert fleet.total.n_examples == pytest.approx(140)
    assert fleet.total.mean_loss == pytest.approx((40 * 1.0 + 100 * 6.6) / 140)
    assert fleet.total.accuracy == pytest.approx(36 / 140)
    assert fleet.quantiles["accuracy"][1] == 0.9
    assert fleet.worst["loss"] == pytest.approx(6.6)


def test_a_device_as_far_out_as_the_trusted_ones_is_left_alone() -> None:
    """Median 1; the furthest of the trusted three of four is 3 away, so 16 is as far as it goes."""
    some = [device(10, 5, loss) for loss in (0.5, 1.0, 1.0, 4.0, 15.9)]
    assert summarize(some, [1] * 5).bounded == ()
    some[-1] = device(10, 5, 17)
    fleet = summarize(some, [1] * 5)
    assert fleet.bounded == (4,)
    assert fleet.worst["loss"] == pytest.approx(16)


def test_an_accuracy_is_never_moved() -> None:
    some = [device(10, right) for right in (0, 0, 0, 3)]
    assert summarize(some, [1] * 4).total.accuracy == pytest.approx(3 / 40)


def test_two_devices_have_no_majority_to_judge_by() -> None:
    fleet = summarize([device(10, 9, 1), device(10, 0, 100)], bounds([10, 10], 10))
    assert fleet.bounded == ()
    assert fleet.total.mean_loss == pytest.approx(50.5)
