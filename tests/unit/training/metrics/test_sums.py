"""Metrics as sums: by hand, against scikit-learn, and however the examples are cut into batches."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sklearn

from fedge.training import ArrayData, Trainer
from fedge.training.metrics import Form, Sums, sums_of
from fedge.types import Array
from tests.support import models

LOG = math.log


def classes(scores: list[list[float]], targets: list[int], n_classes: int = 3) -> Sums:
    losses = np.zeros(len(targets), np.float32)
    return sums_of(
        Form(n_classes, 1), losses, np.array(scores, np.float32), np.array(targets, np.int64)
    )


def test_a_confusion_matrix_and_a_calibration_error_by_hand() -> None:
    """Softmax of log weights is the weights over their sum: .8, .6, .6, .5 for the chosen class."""
    found = classes(
        [
            [LOG(8), LOG(1), LOG(1)],
            [LOG(6), LOG(2), LOG(2)],
            [LOG(1), LOG(6), LOG(3)],
            [LOG(2), LOG(3), LOG(5)],
        ],
        [0, 1, 1, 2],
    )
    assert found.by_class is not None
    assert found.bins is not None
    assert found.by_class.tolist() == [[1, 0, 0], [1, 1, 0], [0, 0, 1]]
    assert (found.n_examples, found.n_answers, found.right, found.accuracy) == (4, 4, 3, 0.75)
    # Bins of a fifteenth: .5 is in (7/15, 8/15], .6 in (8/15, 9/15] or just above, .8 likewise.
    assert found.bins[0].sum() == 4
    assert found.bins[1].sum() == pytest.approx(0.8 + 0.6 + 0.6 + 0.5)
    # |1 - .8| + |1 - 1.2| + |1 - .5| over 4, whether or not .6 and .6 share a bin with others.
    assert found.calibration_error == pytest.approx((0.2 + 0.2 + 0.5) / 4)


def test_a_confidence_on_the_edge_belongs_to_the_bin_below() -> None:
    """Two equal scores give one half: 7.5 fifteenths, in bin 7; certainty is in the last bin."""
    found = classes([[0, 0], [200, 0]], [0, 0], n_classes=2)
    assert found.bins is not None
    assert np.flatnonzero(found.bins[0]).tolist() == [7, 14]
    assert found.bins[1, 14] == 1


def test_yes_and_no_are_two_classes() -> None:
    """Logit LOG(4) is a probability of .8, LOG(1/4) of .2: that is no with confidence .8."""
    logits = np.array([[LOG(4), LOG(1 / 4)], [LOG(4), 0]], np.float32)
    targets = np.array([[1, 1], [0.4, 0]], np.float32)
    found = sums_of(Form(2, 2), np.zeros(2, np.float32), logits, targets)
    assert found.by_class is not None
    assert found.by_class.tolist() == [[1, 1], [1, 1]]
    assert (found.n_examples, found.n_answers, found.right) == (2, 4, 2)
    assert found.calibration_error == pytest.approx((abs(1 - 2.4) + abs(1 - 0.5)) / 4)


def test_errors_by_hand_are_in_the_units_of_the_targets() -> None:
    scores, targets = np.array([[1.0, 2], [3, 4]]), np.array([[1.0, 4], [0, 4]])
    found = sums_of(Form(None, 2), np.array([2, 4.5], np.float32), scores, targets)
    assert (found.mean_loss, found.accuracy, found.calibration_error) == (3.25, None, None)
    assert found.rmse == pytest.approx(math.sqrt((0 + 4 + 9 + 0) / 4))
    assert found.mae == pytest.approx((0 + 2 + 3 + 0) / 4)


@given(st.integers(0, 2**32 - 1), st.integers(2, 70))
def test_scikit_learn_finds_the_same(seed: int, n_classes: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(40, n_classes)).astype(np.float32)
    targets = rng.integers(n_classes, size=40)
    found = sums_of(Form(n_classes, 1), np.zeros(40, np.float32), scores, targets)
    chosen = scores.argmax(axis=1)
    assert found.by_class is not None
    want = sklearn.confusion_matrix(targets, chosen, labels=range(n_classes))
    if n_classes <= 64:
        np.testing.assert_array_equal(found.by_class, want)
    else:
        np.testing.assert_array_equal(found.by_class, np.stack([want.diagonal(), want.sum(1)], 1))
    assert found.accuracy == pytest.approx(sklearn.accuracy_score(targets, chosen))
    numbers, truth = rng.normal(size=(40, 2)), rng.normal(size=(40, 2))
    errors = sums_of(Form(None, 2), np.zeros(40, np.float32), numbers, truth)
    assert errors.rmse == pytest.approx(math.sqrt(sklearn.mean_squared_error(truth, numbers)))
    assert errors.mae == pytest.approx(sklearn.mean_absolute_error(truth, numbers))


def calibration_error_in_words(scores: Array, targets: Array) -> float:
    """Equation 3 of Guo et al. as it stands: sum over bins of |B| / n |acc(B) - conf(B)|."""
    wide = np.exp(scores.astype(np.float64))
    confidence = (wide / wide.sum(1, keepdims=True)).max(1)
    right, total = scores.argmax(1) == targets, 0.0
    for m in range(1, 16):
        inside = (confidence > (m - 1) / 15) & (confidence <= m / 15)
        if inside.any():
            total += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    return float(total)


@given(st.integers(0, 2**32 - 1))
def test_the_calibration_error_is_the_paper_s(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.normal(scale=2, size=(50, 4)).astype(np.float32)
    targets = rng.integers(4, size=50)
    found = sums_of(Form(4, 1), np.zeros(50, np.float32), scores, targets).calibration_error
    assert found == pytest.approx(calibration_error_in_words(scores, targets), abs=1e-6)


@given(st.integers(0, 2**32 - 1), st.integers(1, 11))
def test_the_sums_of_two_parts_add_up_to_those_of_the_whole(seed: int, cut: int) -> None:
    rng = np.random.default_rng(seed)
    losses = rng.random(12).astype(np.float32)
    scores, targets = rng.normal(size=(12, 5)).astype(np.float32), rng.integers(5, size=12)
    form = Form(5, 1)
    whole = sums_of(form, losses, scores, targets)
    both = sums_of(form, losses[:cut], scores[:cut], targets[:cut]) + sums_of(
        form, losses[cut:], scores[cut:], targets[cut:]
    )
    assert (both.n_examples, both.n_answers, both.right) == (12, 12, whole.right)
    np.testing.assert_array_equal(both.by_class, whole.by_class)
    assert both.bins is not None
    assert whole.bins is not None
    np.testing.assert_allclose(both.bins, whole.bins)
    assert both.loss == pytest.approx(whole.loss)


def test_a_model_with_very_many_classes_is_counted_as_a_whole() -> None:
    found = classes([[0.0] * 5000], [0], n_classes=5000)
    assert (found.by_class, found.right) == (None, 1)


def test_scores_that_are_not_finite_say_so_and_warn_nobody() -> None:
    found = classes([[math.nan, 0, 0], [math.inf, 0, 0]], [0, 0])
    assert found.calibration_error is not None
    assert math.isnan(found.calibration_error)


def test_a_trainer_evaluates_with_all_of_it() -> None:
    """w = (1, 2), b = 3: y = 6 and 2 for targets 5 and 4, so the errors are 1 and -2."""
    data = ArrayData({"x": np.array([[1, 1], [-1, 0]], np.float32)}, np.array([[5.0], [4.0]]))
    found = Trainer(models.linear()).evaluate(np.array([1, 2, 3], np.float32), data)
    assert (found.loss, found.accuracy, found.n_examples) == (2.5, None, 2)
    assert found.rmse == pytest.approx(math.sqrt(2.5))
    assert found.mae == 1.5
    assert found.facts() == {"examples": 2, "loss": 2.5, "rmse": found.rmse, "mae": 1.5}
