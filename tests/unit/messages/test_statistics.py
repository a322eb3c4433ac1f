"""Feature statistics on the wire."""

import cbor2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedge.artifact import InputSpec, Manifest, TargetSpec, arrange
from fedge.artifact.layout import schema_hash
from fedge.errors import PayloadError
from fedge.messages import StatisticsReport
from fedge.messages.statistics import max_bytes
from fedge.training.statistics import FeatureStatistics
from fedge.types import RoundId

SPEC = InputSpec(name="x", dtype="float32", shape=(2,), standardize="federated")
MANIFEST = Manifest(
    batch_size=4,
    loss="mse",
    opset=18,
    inputs=(SPEC,),
    target=TargetSpec(dtype="float32", shape=(1,), n_classes=None),
    layout=arrange(
        [
            ("w", (2, 1), True, "weight"),
            ("x.fedge.mean", (2,), False, "statistic"),
            ("x.fedge.scale", (2,), False, "statistic"),
        ]
    ),
)
SCHEMA = schema_hash(MANIFEST.layout)


def a_report(
    count: tuple[float, float] = (3, 2),
    mean: tuple[float, float] = (1.5, -2),
    m2: tuple[float, float] = (4, 0),
) -> StatisticsReport:
    one = FeatureStatistics(*(np.array(part, np.float64) for part in (count, mean, m2)))
    return StatisticsReport(schema=SCHEMA, round=RoundId(0), n_examples=3, features={"x": one})


def raw(**changes: object) -> bytes:
    """The report's map with some fields replaced, encoded as anybody could."""
    eight = np.array([1.0, 1.0]).tobytes()
    fields = {
        "v": 1,
        "schema": SCHEMA,
        "round": 0,
        "n_examples": 3,
        "features": {"x": [eight, eight, eight]},
    }
    return cbor2.dumps(fields | changes, canonical=True)


def test_a_report_by_hand() -> None:
    numbers = [np.array(part, "<f8").tobytes() for part in ((3, 2), (1.5, -2), (4, 0))]
    assert a_report().to_bytes() == raw(features={"x": numbers})


@given(
    st.tuples(st.floats(1, 3), st.floats(1, 3)),
    st.tuples(st.floats(-1e20, 1e20), st.floats(-1e20, 1e20)),
    st.tuples(st.floats(0, 1e40), st.floats(0, 1e40)),
)
def test_what_was_written_is_read_back(
    count: tuple[float, float], mean: tuple[float, float], m2: tuple[float, float]
) -> None:
    data = a_report(count, mean, m2).to_bytes()
    assert len(data) <= max_bytes(MANIFEST)
    found = StatisticsReport.from_bytes(data, MANIFEST)
    assert found.to_bytes() == data
    np.testing.assert_array_equal(found.features["x"].m2, m2)


@given(st.data())
def test_every_truncation_and_flipped_bit_is_refused_or_harmless(data: st.DataObject) -> None:
    good = raw()
    cut = data.draw(st.integers(0, len(good) - 1))
    with pytest.raises(PayloadError):
        StatisticsReport.from_bytes(good[:cut], MANIFEST)
    bit = data.draw(st.integers(0, 8 * len(good) - 1))
    flipped = bytearray(good)
    flipped[bit // 8] ^= 1 << bit % 8
    try:
        StatisticsReport.from_bytes(bytes(flipped), MANIFEST)
    except PayloadError:
        return


NAN = np.array([np.nan, 1.0]).tobytes()
MANY = np.array([1.0, 2.0**53]).tobytes()
FOUR = np.array([1.0, 4.0]).tobytes()
NONE = np.array([1.0, 0.0]).tobytes()
FAR = np.array([1.0, -1.1e20]).tobytes()
HUGE = np.array([1e100, 1.0]).tobytes()
LARGE = np.array([1.1e40, 1.0]).tobytes()
MINUS = np.array([-1.0, 1.0]).tobytes()
ONE = np.array([1.0, 1.0]).tobytes()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"v": 2}, "version 1"),
        ({"schema": bytes(32)}, "this model's"),
        ({"schema": bytes(4)}, "32 bytes"),
        ({"round": -1}, "statistics round"),
        ({"n_examples": 0}, "n_examples"),
        ({"n_examples": True}, "n_examples"),
        ({"features": {}}, "1 known inputs"),
        ({"features": {"y": [ONE, ONE, ONE]}}, "1 known inputs"),
        ({"features": {"x": [ONE, ONE]}}, "count, mean and m2"),
        ({"features": {"x": [ONE, ONE, ONE + ONE]}}, "16 bytes"),
        ({"features": {"x": [NAN, ONE, ONE]}}, "at most"),
        ({"features": {"x": [ONE, NAN, ONE]}}, "at most"),
        ({"features": {"x": [ONE, HUGE, ONE]}}, "at most 1e"),
        ({"features": {"x": [ONE, FAR, ONE]}}, "at most 1e"),
        ({"features": {"x": [ONE, ONE, HUGE]}}, "at most 1e"),
        ({"features": {"x": [ONE, ONE, LARGE]}}, "at most 1e"),
        ({"features": {"x": [NONE, ONE, ONE]}}, "at most"),  # deviations of nothing
        ({"features": {"x": [MANY, ONE, ONE]}}, "at most 3"),
        ({"features": {"x": [FOUR, ONE, ONE]}}, "at most 3"),
        ({"n_examples": 1, "features": {"x": [MANY, ONE, ONE]}}, "at most 1,"),
        ({"features": {"x": [MINUS, ONE, ONE]}}, "not negative"),
        ({"features": {"x": [ONE, ONE, MINUS]}}, "not negative"),
        ({"extra": bytes(1000)}, "at most"),
    ],
)
def test_hostile_fields_are_refused(changes: dict[str, object], sentence: str) -> None:
    with pytest.raises(PayloadError) as caught:
        StatisticsReport.from_bytes(raw(**changes), MANIFEST)
    assert sentence in str(caught.value)
