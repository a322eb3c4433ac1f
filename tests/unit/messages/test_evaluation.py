"""An evaluation report on the wire."""

from dataclasses import replace
from typing import Any

import cbor2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedge.artifact import Manifest, TargetSpec
from fedge.artifact.layout import schema_hash
from fedge.errors import PayloadError
from fedge.messages import EvaluationReport
from fedge.messages.evaluation import max_bytes
from fedge.training.metrics import Sums, form_of, sums_of
from fedge.types import RoundId
from tests.support.models import linear, softmax

CLASSES, NUMBERS = softmax().manifest, linear(n_out=2).manifest
SCHEMA = schema_hash(CLASSES.layout)
MANY = replace(CLASSES, target=TargetSpec(dtype="int64", shape=(), n_classes=70))
YES = replace(NUMBERS, loss="binary_cross_entropy")

ANSWERS = [0] * 10 + [2, 0, 0, 0, 1]  # bins 10 and 14: 2/3 to 11/15, 14/15 to 1
RIGHT = [0] * 10 + [1, 0, 0, 0, 1]
CONFIDENCES = [0.0] * 10 + [1.375, 0.0, 0.0, 0.0, 1.0]
CROSSED = [1, 0, 0, 0, 0, 1, 0, 0, 1]


def raw(**changes: object) -> bytes:
    """A report on three examples with some fields replaced, as anybody could write it."""
    fields = {
        "v": 1,
        "schema": SCHEMA,
        "round": 7,
        "n_examples": 3,
        "loss": 1.5,
        "bins": [*ANSWERS, *RIGHT, *CONFIDENCES],
        "by_class": CROSSED,
    }
    kept = {name: value for name, value in (fields | changes).items() if value is not None}
    return cbor2.dumps(kept, canonical=True)


def own(**changes: object) -> bytes:
    """What `personal` holds, with some fields replaced."""
    return raw(**{"schema": None, "round": None, **changes})


def own_of_another(n: int) -> bytes:
    """Sums that add up, over the first n examples."""
    crossed, empty = [1, 0, 0, 0, int(n > 1), 0, 0, 0, 0], [0] * 14
    bins = [*empty, n, *empty, n, *[0.0] * 14, float(n)]
    return own(n_examples=n, by_class=crossed, bins=bins)


def raw_numbers(**changes: object) -> bytes:
    own = {"schema": schema_hash(NUMBERS.layout), "squared": 14.0, "absolute": 6.0}
    return raw(bins=None, by_class=None, **{**own, **changes})


def a_report(manifest: Manifest, sums: Sums) -> EvaluationReport:
    return EvaluationReport(schema=schema_hash(manifest.layout), round=RoundId(7), sums=sums)


def test_a_report_by_hand() -> None:
    sums = Sums(
        3, 3, 1.5, right=2, by_class=np.array(CROSSED).reshape(3, 3),
        bins=np.array([ANSWERS, CONFIDENCES, RIGHT], np.float64),
    )  # fmt: skip
    assert a_report(CLASSES, sums).to_bytes() == raw()
    found = EvaluationReport.from_bytes(raw(), CLASSES).sums
    assert (found.n_examples, found.mean_loss, found.accuracy) == (3, 0.5, 2 / 3)
    # |1 - 1.375| and |1 - 1| over 3 answers
    assert found.calibration_error == pytest.approx(0.375 / 3)


def test_a_report_with_a_personal_model_by_hand() -> None:
    mine = np.array([1, 0, 0, 0, 2, 0, 0, 0, 0]).reshape(3, 3)
    bins = np.array([[0] * 14 + [3], [0] * 14 + [3.0], [0] * 14 + [3]], np.float64)
    better = Sums(3, 3, 0.5, right=3, by_class=mine, bins=bins)
    report = replace(EvaluationReport.from_bytes(raw(), CLASSES), personal=better)
    inner = own(
        loss=0.5,
        by_class=mine.ravel().tolist(),
        bins=[*[0] * 14, 3, *[0] * 14, 3, *[0.0] * 14, 3.0],
    )
    assert report.to_bytes() == raw(personal=inner)
    found = EvaluationReport.from_bytes(raw(personal=inner), CLASSES)
    assert found.personal is not None
    assert (found.sums.accuracy, found.personal.accuracy) == (2 / 3, 1)
    assert found.personal.mean_loss == pytest.approx(0.5 / 3)


def test_a_report_on_numbers_by_hand() -> None:
    sums = Sums(3, 6, 1.5, squared=14.0, absolute=6.0)
    assert a_report(NUMBERS, sums).to_bytes() == raw_numbers()
    found = EvaluationReport.from_bytes(raw_numbers(), NUMBERS).sums
    assert found.mae == 1
    assert found.rmse == pytest.approx((14 / 6) ** 0.5)


@given(st.sampled_from([CLASSES, NUMBERS, MANY, YES]), st.integers(1, 30), st.integers(0, 2**32))
def test_what_a_model_did_is_read_back(manifest: Manifest, n: int, seed: int) -> None:
    rng, form = np.random.default_rng(seed), form_of(manifest)
    losses = rng.random(n).astype(np.float32)
    if manifest.target.n_classes is None:
        scores, targets = rng.normal(size=(2, n, 2))
    else:
        scores = rng.normal(size=(n, manifest.target.n_classes))
        targets = rng.integers(manifest.target.n_classes, size=n)
    sums = sums_of(form, losses, scores.astype(np.float32), targets)
    data = a_report(manifest, sums).to_bytes()
    assert len(data) <= max_bytes(manifest)
    found = EvaluationReport.from_bytes(data, manifest)
    assert found.to_bytes() == data
    assert found.sums.loss == sums.loss
    assert found.sums.right == sums.right
    if sums.by_class is not None:
        np.testing.assert_array_equal(found.sums.by_class, sums.by_class)


@given(st.data())
def test_every_truncation_and_flipped_bit_is_refused_or_adds_up(data: st.DataObject) -> None:
    good = raw()
    cut = data.draw(st.integers(0, len(good) - 1))
    with pytest.raises(PayloadError):
        EvaluationReport.from_bytes(good[:cut], CLASSES)
    bit = data.draw(st.integers(0, 8 * len(good) - 1))
    flipped = bytearray(good)
    flipped[bit // 8] ^= 1 << bit % 8
    try:
        found = EvaluationReport.from_bytes(bytes(flipped), CLASSES).sums
    except PayloadError:
        return
    assert found.by_class is not None
    assert found.by_class.sum() == found.n_examples
    assert np.isfinite(found.loss)


def with_bins(place: int, value: object) -> dict[str, Any]:
    numbers: list[Any] = [*ANSWERS, *RIGHT, *CONFIDENCES]
    numbers[place] = value
    return {"bins": numbers}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"v": 2}, "version 1"),
        ({"schema": bytes(32)}, "this model's"),
        ({"schema": bytes(4)}, "32 bytes"),
        ({"round": -1}, "evaluation round"),
        ({"n_examples": 0}, "n_examples"),
        ({"n_examples": True}, "n_examples"),
        ({"n_examples": 2**53 + 1}, "n_examples"),
        ({"n_examples": 4}, "4 answers"),
        ({"loss": float("nan")}, "evaluation loss"),
        ({"loss": float("inf")}, "evaluation loss"),
        ({"loss": 1e31}, "evaluation loss"),
        ({"loss": -1e31}, "evaluation loss"),
        ({"loss": 3}, "evaluation loss"),
        ({"bins": None}, "evaluation bins"),
        ({"bins": []}, "45 numbers"),
        (with_bins(10, 3), "3 answers"),
        (with_bins(10, -1), "0 to 3"),
        (with_bins(10, 2.0), "int"),
        (with_bins(16, 1), "right ones among the answers"),  # an empty bin
        (with_bins(40, 1.5), "evaluation confidences"),  # two of at most 11/15
        (with_bins(40, 1.0), "evaluation confidences"),  # two of more than 10/15
        (with_bins(44, float("nan")), "evaluation confidences"),
        (with_bins(44, 1), "float"),
        ({"by_class": None}, "evaluation classes"),
        ({"by_class": CROSSED[:8]}, "9 numbers"),
        ({"by_class": [2, *CROSSED[1:]]}, "3 answers, 2 of them right"),
        ({"by_class": [0, 1, *CROSSED[2:]]}, "3 answers, 2 of them right"),
        ({"by_class": [-1, 2, *CROSSED[2:]]}, "0 to 3"),
        ({"extra": bytes(1000)}, "at most"),
        ({"extra": bytes(900), "personal": bytes(1000)}, "at most"),
        ({"extra": bytes(900), "personal": b""}, "at most"),
        ({"personal": b""}, "personal model"),
        ({"personal": bytes(1000)}, "personal model"),
        ({"personal": None, "bins": bytes(1)}, "bins"),
        ({"personal": "text"}, "personal"),
        ({"personal": own(v=2)}, "version 1"),
        ({"personal": own(n_examples=None)}, "n_examples"),
        ({"personal": own(n_examples=4)}, "4 answers"),
        ({"personal": own_of_another(2)}, "personal model: n_examples: expected 3, found 2"),
        ({"personal": own(loss=float("nan"))}, "evaluation loss"),
        ({"personal": own(by_class=None)}, "evaluation classes"),
        ({"personal": own(extra=bytes(1000))}, "at most"),
        ({"personal": own(personal=own(), extra=bytes(1000))}, "at most"),
    ],
)
def test_hostile_fields_are_refused(changes: dict[str, object], sentence: str) -> None:
    with pytest.raises(PayloadError) as caught:
        EvaluationReport.from_bytes(raw(**changes), CLASSES)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"squared": None}, "squared errors"),
        ({"absolute": None}, "absolute errors"),
        ({"squared": -1.0}, "squared errors"),
        ({"absolute": -1.0}, "absolute errors"),
        ({"absolute": float("nan")}, "absolute errors"),
        ({"squared": 1e61 * 6}, "squared errors"),
        ({"absolute": 10.0}, "those of the absolute ones"),  # 100 / 6 is more than 14
    ],
)
def test_errors_that_no_numbers_have_are_refused(changes: dict[str, object], sentence: str) -> None:
    with pytest.raises(PayloadError) as caught:
        EvaluationReport.from_bytes(raw_numbers(**changes), NUMBERS)
    assert sentence in str(caught.value)


def test_many_classes_are_counted_one_by_one() -> None:
    """70 classes: right answers and all answers of each, 2 of 3 right."""
    pairs = [1, 2, 1, 1, *[0] * 136]
    report = raw(by_class=pairs, schema=schema_hash(MANY.layout))
    found = EvaluationReport.from_bytes(report, MANY).sums
    assert found.by_class is not None
    assert found.by_class[:2].tolist() == [[1, 2], [1, 1]]
    false = raw(by_class=[2, 1, 0, 2, *[0] * 136], schema=schema_hash(MANY.layout))
    with pytest.raises(PayloadError, match="right ones among the answers"):
        EvaluationReport.from_bytes(false, MANY)
