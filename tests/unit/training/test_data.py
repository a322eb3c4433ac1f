"""What the artifact accepts as examples."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from fedge.artifact import InputSpec, Manifest, TargetSpec, arrange
from fedge.errors import DataError
from fedge.training import ArrayData
from tests.support import models

MSE = models.linear(n_in=2, n_out=1).manifest
CLASSES = models.softmax(n_in=2, n_out=3).manifest
BINARY = dataclasses.replace(MSE, loss="binary_cross_entropy")


def manifest_of(
    shape: tuple[int, ...], dtype: str = "float32", standardize: Any = "none"
) -> Manifest:
    statistics = ["image.fedge.mean", "image.fedge.scale"] if standardize != "none" else []
    spec = InputSpec(name="image", dtype=dtype, shape=shape, standardize=standardize)
    layout = arrange([(name, spec.statistic_shape, False, "statistic") for name in statistics])
    return dataclasses.replace(MSE, inputs=(spec,), layout=layout)


def data(x: Any, y: Any, name: str = "x") -> ArrayData:
    return ArrayData({name: np.asarray(x)}, np.asarray(y))


def test_values_are_cast_once_to_what_the_graph_reads() -> None:
    checked = data([[1, 2], [3, 4]], [5.0, 6.0]).check(MSE)
    assert checked.inputs["x"].dtype == np.float32
    assert checked.targets.dtype == np.float32
    np.testing.assert_array_equal(checked.inputs["x"], [[1, 2], [3, 4]])
    np.testing.assert_array_equal(checked.targets, [[5], [6]])


def test_arrays_that_already_fit_are_not_copied() -> None:
    x, y = np.zeros((3, 2), np.float32), np.zeros((3, 1), np.float32)
    checked = data(x, y).check(MSE)
    assert np.shares_memory(checked.inputs["x"], x)
    assert np.shares_memory(checked.targets, y)


def test_a_lone_x_serves_the_one_input_whatever_its_name() -> None:
    checked = data(np.zeros((3, 4)), np.zeros(3)).check(manifest_of((4,)))
    assert list(checked.inputs) == ["image"]


def test_axes_of_length_one_are_added_and_dropped() -> None:
    images = np.arange(3 * 64).reshape(3, 8, 8)
    checked = data(images, np.zeros((3, 1, 1))).check(manifest_of((1, 8, 8)))
    np.testing.assert_array_equal(checked.inputs["image"][:, 0], images)


def test_axes_are_never_reordered() -> None:
    with pytest.raises(
        DataError, match=r"image: expected shape \(n, 3, 8, 8\), found \(2, 8, 8, 3\)"
    ):
        data(np.zeros((2, 8, 8, 3)), np.zeros(2)).check(manifest_of((3, 8, 8)))


def test_missing_values_pass_if_the_graph_standardizes() -> None:
    x = np.array([[1.0, np.nan]])
    checked = data(x, [0.0]).check(manifest_of((2,), standardize="federated"))
    assert np.isnan(checked.inputs["image"][0, 1])
    with pytest.raises(DataError, match="NaN"):
        data(x, [0.0]).check(manifest_of((2,)))


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int32", "int64", "bool", "float64"])
def test_numbers_of_every_kind_become_float32(dtype: str) -> None:
    checked = data(np.array([[0, 1]], dtype), [0.0]).check(MSE)
    np.testing.assert_array_equal(checked.inputs["x"], np.array([[0, 1]], np.float32))


@pytest.mark.parametrize("dtype", ["uint8", "int32", "uint16", "bool"])
def test_small_integers_become_classes(dtype: str) -> None:
    checked = data(np.zeros((2, 2)), np.array([0, 1], dtype)).check(CLASSES)
    assert checked.targets.dtype == np.int64


@pytest.mark.parametrize(
    ("manifest", "examples", "word"),
    [
        (MSE, data([[1, 2]], [0.0], name="z"), "inputs"),
        (MSE, data([1, 2], [0.0, 0.0]), "shape"),
        (MSE, data([[1, 2, 3]], [0.0]), "shape"),
        (MSE, data(3.0, [0.0]), "shape"),
        (MSE, data([["a", "b"]], [0.0]), "dtype of x"),
        (MSE, data(np.array([[None, 1]], object), [0.0]), "dtype of x"),
        (MSE, data([[1j, 2]], [0.0]), "dtype of x"),
        (MSE, data([[2**24 + 1, 0]], [0.0]), "exactly"),
        (MSE, data([[1e39, 0]], [0.0]), "overflow"),
        (MSE, data([[np.inf, 0]], [0.0]), "infinity"),
        (MSE, data([[1, 2]], [np.nan]), "targets"),
        (MSE, data([[1, 2]], [[1.0, 2.0]]), "shape"),
        (MSE, data([[1, 2]], [0.0, 1.0]), "2 examples"),
        (CLASSES, data([[1, 2]], [3]), "0 to 2"),
        (CLASSES, data([[1, 2]], [-1]), "0 to 2"),
        (CLASSES, data([[1, 2]], [0.0]), "dtype of targets"),
        (CLASSES, data([[1, 2]], np.array([2**63], np.uint64)), "labels"),
        (BINARY, data([[1, 2]], [1.5]), "0 to 1"),
        (manifest_of((2,), "int8"), data([[1, 300]], [0.0]), "exactly"),
        (manifest_of((2,), "int64"), data([[1.5, 2]], [0.0]), "dtype of image"),
    ],
)
def test_examples_that_do_not_fit_are_refused(
    manifest: Manifest, examples: ArrayData, word: str
) -> None:
    with pytest.raises(DataError, match=word):
        examples.check(manifest)


def test_several_inputs_are_matched_by_name() -> None:
    specs = tuple(InputSpec(name=name, dtype="float32", shape=()) for name in "uv")
    target = TargetSpec(dtype="float32", shape=(), n_classes=None)
    manifest = dataclasses.replace(MSE, inputs=specs, target=target)
    examples = ArrayData({"v": np.array([2.0]), "u": np.array([1.0])}, np.array([0.0]))
    assert {k: v.item() for k, v in examples.check(manifest).inputs.items()} == {"u": 1, "v": 2}
    with pytest.raises(DataError, match="inputs"):
        data([1.0], [0.0]).check(manifest)


def rows(n: int, width: int = 6) -> np.ndarray:
    return np.arange(n * width, dtype=np.float64).reshape(n, width)


def test_nan_is_refused_by_feature_and_number_of_rows() -> None:
    x = rows(400)
    x[:12, 3] = np.nan
    x[399, 5] = np.nan
    with pytest.raises(DataError) as caught:
        data(x, np.zeros(400)).check(manifest_of((6,)))
    assert str(caught.value) == (
        "image: expected no missing values without standardize, found NaN in feature 3 in 12 of "
        "400 rows, feature 5 in 1 of 400 rows"
    )


def test_infinity_is_refused_by_feature_and_number_of_rows_even_where_nan_passes() -> None:
    x = rows(10)
    x[:, 1] = np.nan
    x[2:4, 0] = [-np.inf, np.inf]
    x[5, 2] = 1e39  # more than float32 holds
    with pytest.raises(DataError) as caught:
        data(x, np.zeros(10)).check(manifest_of((6,), standardize="federated"))
    assert str(caught.value) == (
        "image: expected finite float32 numbers, found infinity or overflow in feature 0 in 2 of "
        "10 rows, feature 2 in 1 of 10 rows"
    )


def test_only_the_first_of_many_features_are_named_with_all_their_indices() -> None:
    x = np.zeros((5, 2, 3))
    x[1] = np.nan
    with pytest.raises(DataError) as caught:
        data(x, np.zeros(5)).check(manifest_of((2, 3)))
    assert str(caught.value).endswith(
        "found NaN in feature (0, 0) in 1 of 5 rows, feature (0, 1) in 1 of 5 rows, "
        "feature (0, 2) in 1 of 5 rows, 3 other features"
    )


def test_labels_out_of_range_are_refused_by_value_and_number_of_rows() -> None:
    labels = np.array([0, 1, 2, 3, 3, 3, -1, 2, 9, 8])
    with pytest.raises(DataError) as caught:
        data(np.zeros((10, 2)), labels).check(CLASSES)
    assert str(caught.value) == (
        "labels: expected 0 to 2, found -1 in 1 of 10 rows, 3 in 3 of 10 rows, 8 in 1 of 10 rows, "
        "1 other values"
    )


def test_targets_that_are_nan_are_refused_by_the_number_of_rows() -> None:
    targets = np.zeros(40)
    targets[[3, 7]] = np.nan
    with pytest.raises(DataError, match=r"targets: .* found NaN in 2 of 40 rows"):
        data(np.zeros((40, 2)), targets).check(MSE)


def test_checked_examples_are_not_checked_again() -> None:
    checked = data([[1, 2]], [0.0]).check(MSE)
    assert checked.check(MSE) is checked
    assert checked.check(BINARY) is not checked
