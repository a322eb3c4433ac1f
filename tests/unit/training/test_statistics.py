"""Federated mean and variance."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fedge.artifact import InputSpec, Manifest, arrange
from fedge.errors import DataError
from fedge.training import ArrayData
from fedge.training.statistics import FeatureStatistics, measure, merge, to_parameters
from tests.support import models

columns = arrays(
    np.float32,
    st.tuples(st.integers(0, 12), st.just(3)),
    elements=st.floats(-1e3, 1e3, width=32) | st.just(np.nan),
)


def manifest_of(shape: tuple[int, ...]) -> Manifest:
    spec = InputSpec(name="x", dtype="float32", shape=shape, standardize="federated")
    layout = arrange(
        [
            ("w", (2,), True, "weight"),
            (spec.mean_slot, spec.statistic_shape, False, "statistic"),
            (spec.scale_slot, spec.statistic_shape, False, "statistic"),
        ]
    )
    return dataclasses.replace(models.linear().manifest, inputs=(spec,), layout=layout)


def of(x: np.ndarray) -> FeatureStatistics:
    data = ArrayData({"x": x}, np.zeros(len(x), np.float32))
    return measure(data, manifest_of(x.shape[1:]))["x"]


def three(*numbers: Any) -> FeatureStatistics:
    return FeatureStatistics(*(np.asarray(number, np.float64) for number in numbers))


def test_the_worked_example() -> None:
    found = of(np.array([[1, 5], [3, np.nan], [5, 5]], np.float32))
    assert found.count.tolist() == [3, 2]
    assert found.mean.tolist() == [3, 5]
    assert found.m2.tolist() == [8, 0]
    np.testing.assert_allclose(found.scale, [np.sqrt(3 / 8), 0])


@given(columns, columns)
@example(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.float32))
@example(np.full((2, 3), np.nan, np.float32), np.ones((1, 3), np.float32))
def test_two_merged_devices_equal_one_that_has_everything(a: np.ndarray, b: np.ndarray) -> None:
    merged = merge(of(a), of(b))
    both = np.concatenate([a, b]).astype(np.float64)
    for feature, known in enumerate(~np.isnan(both.T)):
        values = both[known, feature]
        assert merged.count[feature] == len(values)
        if len(values):
            np.testing.assert_allclose(merged.mean[feature], values.mean(), atol=1e-9)
            np.testing.assert_allclose(merged.m2[feature], values.var() * len(values), atol=1e-6)


def test_more_examples_than_a_chunk_are_all_counted() -> None:
    x = np.random.default_rng(0).normal(3, 2, (2500, 4)).astype(np.float32)
    found = of(x)
    np.testing.assert_allclose(found.mean, x.astype(np.float64).mean(0), rtol=1e-12)
    np.testing.assert_allclose(found.scale, 1 / x.astype(np.float64).std(0), rtol=1e-12)


def test_signals_and_images_are_measured_per_channel() -> None:
    x = np.random.default_rng(0).normal(size=(5, 3, 4, 2)).astype(np.float32)
    found = of(x)
    assert found.mean.shape == (3, 1, 1)
    wanted = x.astype(np.float64).transpose(1, 0, 2, 3).reshape(3, -1)
    np.testing.assert_allclose(found.mean.ravel(), wanted.mean(1), rtol=1e-12)
    np.testing.assert_allclose(found.m2.ravel(), wanted.var(1) * 40, rtol=1e-12)


def test_a_constant_that_varies_only_by_float32_rounding_has_scale_zero() -> None:
    x = np.full((1000, 1), 0.1, np.float32)
    x[::2] = np.nextafter(np.float32(0.1), np.float32(1))
    assert of(x).scale.tolist() == [0]


def test_parameters_get_mean_and_scale_and_keep_the_rest() -> None:
    manifest = manifest_of((2,))
    before = np.array([7, 8, 0, 0, 1, 1], np.float32)
    after = to_parameters({"x": three([4, 4], [1, 2], [16, 0])}, manifest, before)
    np.testing.assert_array_equal(after, [7, 8, 1, 2, 0.5, 0])
    assert after.dtype == np.float32
    np.testing.assert_array_equal(before, [7, 8, 0, 0, 1, 1])


def test_statistics_of_another_shape_or_input_are_refused() -> None:
    manifest, before = manifest_of((2,)), np.zeros(6, np.float32)
    with pytest.raises(DataError, match="statistics of x"):
        to_parameters({"x": three([1], [1], [1])}, manifest, before)
    with pytest.raises(DataError, match="statistics"):
        to_parameters({}, manifest, before)
    with pytest.raises(DataError, match="shape"):
        merge(three([1], [1], [1]), three([1, 1], [1, 1], [1, 1]))


@pytest.mark.parametrize(
    "numbers",
    [
        ([1], [1], [-1]),
        ([-1], [1], [1]),
        ([1], [np.nan], [1]),
        ([1], [1], [np.inf]),
        ([1], [1, 2], [1]),
    ],
)
def test_impossible_statistics_are_refused(numbers: tuple[Any, Any, Any]) -> None:
    with pytest.raises(DataError, match="statistics"):
        three(*numbers)


def scaled_target() -> Manifest:
    """The linear model with a standardised target and a plain input."""
    plain = models.linear().manifest
    target = dataclasses.replace(plain.target, shape=(1,), standardize="federated")
    layout = arrange(
        [
            ("w", (2,), True, "weight"),
            (target.mean_slot, (1,), False, "statistic"),
            (target.scale_slot, (1,), False, "statistic"),
        ]
    )
    return dataclasses.replace(plain, target=target, layout=layout)


def test_the_target_is_measured_and_its_deviation_filled_in() -> None:
    """1, 3, 5, 7: mean 4, variance 5."""
    manifest, x = scaled_target(), np.zeros((4, 2), np.float32)
    data = ArrayData({"x": x}, np.array([[1], [3], [5], [7]], np.float32))
    found = measure(data, manifest)
    assert list(found) == ["fedge.target"]
    after = to_parameters(found, manifest, np.array([7, 8, 0, 1], np.float32))
    np.testing.assert_array_equal(after, np.array([7, 8, 4, np.sqrt(5)], np.float32))


def test_a_target_that_never_varies_keeps_its_scale() -> None:
    manifest, x = scaled_target(), np.zeros((2, 2), np.float32)
    found = measure(ArrayData({"x": x}, np.array([[-3], [-3]], np.float32)), manifest)
    after = to_parameters(found, manifest, np.zeros(4, np.float32))
    assert after.tolist() == [0, 0, -3, 1]
