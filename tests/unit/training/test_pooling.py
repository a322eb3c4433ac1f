"""Statistics of a fleet in which a few devices report falsely: by hand, then the laws."""

from functools import reduce

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedge.training.pooling import pool
from fedge.training.statistics import FeatureStatistics, merge


def one(count: float, mean: float, m2: float) -> dict[str, FeatureStatistics]:
    return {"x": FeatureStatistics(*(np.array([part], np.float64) for part in (count, mean, m2)))}


def numbers(features: dict[str, FeatureStatistics]) -> tuple[float, float, float]:
    x = features["x"]
    return float(x.count[0]), float(x.mean[0]), float(x.m2[0])


def test_a_far_device_is_pulled_in_to_five_times_the_furthest_of_the_others() -> None:
    """Means 0, 0, 0 and 100, deviation 1: the centre is 0, the scale 1, so 100 becomes 5."""
    found = pool([one(4, 0, 4), one(4, 0, 4), one(4, 0, 4), one(4, 100, 0)])
    # 12 values of mean 0 and 4 of 5: mean 20 / 16; 12 + 4 * 25 - 16 * 1.25 ** 2.
    assert numbers(found.features) == pytest.approx((16, 1.25, 87))
    assert found.bounded == (3,)


def test_a_device_with_a_wide_spread_is_pulled_in_the_same_way() -> None:
    """Its deviation of 10 becomes 5."""
    found = pool([one(4, 0, 4), one(4, 0, 4), one(4, 0, 4), one(4, 0, 400)])
    assert numbers(found.features) == pytest.approx((16, 0, 12 + 100))


def test_a_device_weighs_no_more_than_all_others_together() -> None:
    found = pool([one(4, 0, 4), one(4, 1, 4), one(1e7, 1, 1e7)])
    assert numbers(found.features)[:2] == (16, 12 / 16)
    assert found.bounded == (2,)


def test_two_devices_have_no_majority_and_are_left_alone() -> None:
    pair = [one(1, 0, 0), one(3, 100, 0)]
    found = pool(pair)
    assert numbers(found.features) == (4, 75, 7500)
    assert found.bounded == ()


def test_a_feature_that_varies_on_only_one_device_is_left_alone() -> None:
    """The furthest is judged by the others, but those are all at the centre."""
    found = pool([*[one(4, 0, 0)] * 4, one(4, 0.5, 1)])
    assert numbers(found.features) == pytest.approx((20, 0.1, 1.8))
    assert found.bounded == ()


def test_a_feature_without_values_has_no_statistics() -> None:
    found = pool([one(0, 0, 0)] * 4)
    assert numbers(found.features) == (0, 0, 0)


def test_features_of_one_input_are_bounded_independently() -> None:
    def pair(far: float) -> dict[str, FeatureStatistics]:
        parts = np.array([4.0, 4.0]), np.array([0.0, far]), np.array([4.0, 4.0])
        return {"x": FeatureStatistics(*parts)}

    found = pool([pair(0), pair(0), pair(0), pair(1e20)])
    assert found.features["x"].mean[0] == 0
    assert found.features["x"].mean[1] == pytest.approx(1.25)  # one in four has 5
    assert found.bounded == (3,)


reports = st.tuples(st.floats(1, 100), st.floats(-1, 1), st.floats(0.5, 2)).map(
    lambda x: one(x[0], x[1], x[0] * x[2] ** 2)
)
lies = st.tuples(st.floats(0, 1e7), st.floats(-1e20, 1e20), st.floats(0, 1e20)).map(
    lambda x: one(x[0], x[1], x[0] * x[2] ** 2)
)


@given(st.lists(reports, min_size=3, max_size=9))
def test_similar_devices_are_merged_to_the_same_bits(many: list[dict]) -> None:
    counts = [float(report["x"].count[0]) for report in many]
    found = pool(many)
    if max(counts) <= sum(counts) / 2:
        assert found.bounded == ()
        plain = reduce(merge, (report["x"] for report in many))
        assert numbers(found.features) == numbers({"x": plain})


@given(st.lists(reports, min_size=3, max_size=8), st.lists(lies, min_size=1, max_size=2))
def test_a_quarter_of_false_reports_cannot_move_the_statistics_far(
    honest: list[dict], hostile: list[dict]
) -> None:
    """Honest means are within 1 of 0 and deviations from 0.5 to 2: the result is close."""
    hostile = hostile[: max(1, (len(honest) + 1) // 4)]
    _, mean, m2 = numbers(pool([*honest, *hostile]).features)
    count = numbers(pool([*honest, *hostile]).features)[0]
    furthest = np.hypot(2, 2) * 5  # five times as far as the furthest honest device
    assert abs(mean) <= 1 + furthest
    assert m2 / count <= (2 * furthest) ** 2
