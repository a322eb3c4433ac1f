"""Windows of equal values: whichever elements get a pool's gradient, it is counted once."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tests.support.gradient_cases import Case, case
from tests.support.gradient_graphs import make_models
from tests.support.onnx_runs import run_onnxruntime

WINDOWS: list[Case] = [
    case("MaxPool", (1, 2, 6), kernel_shape=[2], strides=[2]),
    case("MaxPool", (1, 2, 7, 6), kernel_shape=[2, 3], strides=[2, 3]),
    case("MaxPool", (1, 2, 8, 8), kernel_shape=[4, 4], strides=[4, 4]),
    case("MaxPool", (1, 2, 24, 24), kernel_shape=[24, 24], strides=[24, 24]),
    case("MaxPool", (1, 2, 5, 5), kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
    case("MaxPool", (1, 2, 6, 6), kernel_shape=[2, 2], strides=[2, 2], pads=[1, 1, 1, 1]),
    case("MaxPool", (1, 2, 5, 5), kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER"),
    case("MaxPool", (1, 2, 5, 5), kernel_shape=[2, 2], strides=[1, 1], auto_pad="SAME_LOWER"),
    case("MaxPool", (1, 2, 7, 7), kernel_shape=[2, 2], strides=[2, 2], dilations=[2, 3]),
    case("MaxPool", (1, 2, 5, 6), kernel_shape=[3, 2], strides=[1, 2], storage_order=1),
    case("MaxPool", (1, 2, 6, 6), kernel_shape=[2, 2], strides=[2, 2], storage_order=1),
    case("MaxPool", (1, 2, 4, 4, 4), kernel_shape=[2, 2, 2], strides=[2, 2, 2]),
    case("MaxPool", (1, 2, 4, 4), kernel_shape=[2, 2], strides=[2, 2], opset=7),
    case("GlobalMaxPool", (1, 2, 4, 5)),
]


def gradient(window: Case, x: npt.NDArray, dy: npt.NDArray | None = None) -> npt.NDArray:
    """dL/dx for a given dL/dy, by default 1 everywhere."""
    forward, backward, _ = make_models(window, {"x0": x}, np.float32)
    y = forward.graph.output[0].type.tensor_type.shape.dim
    seed = np.ones([dim.dim_value for dim in y], np.float32) if dy is None else dy
    (dx,) = run_onnxruntime(backward, {"x0": x, "seed0": seed})
    return dx


def shape_of(window: Case) -> Any:
    return window.operands[0]


@pytest.mark.parametrize("window", WINDOWS, ids=str)
@pytest.mark.parametrize("value", [0.0, -0.0, 1.5])
def test_the_shares_of_one_window_sum_to_one(window: Case, value: float) -> None:
    x = np.full(shape_of(window), value, np.float32)
    n_windows = gradient(window, x).sum()
    forward, _, _ = make_models(window, {"x0": x}, np.float32)
    dims = forward.graph.output[0].type.tensor_type.shape.dim
    assert n_windows == pytest.approx(np.prod([dim.dim_value for dim in dims]), rel=1e-6)


@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_a_window_of_masked_elements_gives_no_nan(window: Case) -> None:
    """For only -inf, some onnxruntime kernels give the maximum -3.4e38: no element is chosen."""
    dx = gradient(window, np.full(shape_of(window), -np.inf, np.float32))
    assert np.isfinite(dx).all()


@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_ties_in_some_windows_leave_the_others_alone(window: Case) -> None:
    """In each window the shares sum to one, and only the largest elements have a share."""
    x = np.random.default_rng(0).integers(0, 2, shape_of(window)).astype(np.float32)
    forward, _, _ = make_models(window, {"x0": x}, np.float32)
    (y,) = run_onnxruntime(forward, {"x0": x})
    for i in range(y.size):
        dy = np.zeros_like(y)
        dy.flat[i] = 1
        dx = gradient(window, x, dy)
        assert dx.sum() == pytest.approx(1, rel=1e-6)
        assert dx.min() == 0
        assert set(x[dx > 0]) == {y.flat[i]}


def test_a_column_major_index_gives_the_gradient_to_the_same_element() -> None:
    """Overlapping windows on the rows of 0 to 24: the largest is at the lower right of each."""
    window = case("MaxPool", (1, 1, 5, 5), kernel_shape=[2, 2], strides=[1, 1], storage_order=1)
    x = np.arange(25, dtype=np.float32).reshape(1, 1, 5, 5)
    want = np.zeros((5, 5))
    want[1:, 1:] = 1
    np.testing.assert_array_equal(gradient(window, x)[0, 0], want)
