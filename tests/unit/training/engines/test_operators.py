"""Our operators in the second engine: by hand, and against the first in all their settings."""

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from fedge.autodiff import Graph, Tensor, to_model
from fedge.training.engines import ENGINES, EngineName, load, operators
from fedge.training.engines.windows import Windows
from fedge.types import Array

FLOAT = np.dtype(np.float32)
Settings = dict[str, Any]


def on(engine: EngineName, op_type: str, *inputs: Array, n: int = 1, **attributes: Any) -> Array:
    """The last of an operator's n outputs."""
    g = Graph()
    names = [
        g.add_input(f"x{i}", Tensor(x.dtype, x.shape)) if x.dtype == FLOAT else g.constant(x)
        for i, x in enumerate(inputs)
    ]
    y = g.ops(n, op_type, *names, **attributes)[-1]
    feeds = {name: x for name, x in zip(names, inputs, strict=True) if name not in g.constants}
    out = np.full(g.shape(y), 77, g.tensors[y].dtype)
    graph = to_model(g, list(feeds), {"y": y}).SerializeToString()
    load(engine)(graph, feeds, {"y": out}, threads=1).run()
    return out


def assert_same(op_type: str, *inputs: Array, n: int = 1, **attributes: Any) -> None:
    """A sum has at most some hundreds of terms of order one; float32 rounds each by 6e-8."""
    want, found = (on(engine, op_type, *inputs, n=n, **attributes) for engine in ENGINES)
    np.testing.assert_allclose(found, want, rtol=1e-5, atol=2e-5)


def draw_normal(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@st.composite
def windows(draw: st.DrawFn) -> tuple[tuple[int, ...], Settings]:
    """Spatial sizes and a window over them that has at least one position."""
    rank = draw(st.integers(1, 3))
    axis = st.lists(st.integers(1, 3), min_size=rank, max_size=rank)
    kernel, strides, dilations = draw(axis), draw(axis), draw(axis)
    pads = [draw(st.integers(0, k - 1)) for k in 2 * kernel]
    size = draw(st.lists(st.integers(1, 8), min_size=rank, max_size=rank))
    for i in range(rank):
        assume(size[i] + pads[i] + pads[rank + i] > (kernel[i] - 1) * dilations[i])
    found = {"kernel_shape": kernel, "strides": strides, "dilations": dilations, "pads": pads}
    return tuple(size), found


@settings(max_examples=60, deadline=None)
@given(case=windows(), group=st.sampled_from([1, 2, 4]), out=st.integers(1, 3))
def test_a_convolution_equals_onnxruntimes(
    case: tuple[tuple[int, ...], Settings], group: int, out: int
) -> None:
    size, given = case
    w = draw_normal(group * out, 4 // group, *given["kernel_shape"], seed=1)
    assert_same("Conv", draw_normal(2, 4, *size), w, draw_normal(group * out), group=group, **given)


@settings(max_examples=60, deadline=None)
@given(case=windows(), group=st.sampled_from([1, 2, 4]), data=st.data())
def test_a_transposed_convolution_equals_onnxruntimes(
    case: tuple[tuple[int, ...], Settings], group: int, data: st.DataObject
) -> None:
    size, given = case
    rank = len(size)
    more = [data.draw(st.integers(0, stride - 1)) for stride in given["strides"]]
    spans = [(given["kernel_shape"][i] - 1) * given["dilations"][i] + 1 for i in range(rank)]
    for i in range(rank):
        whole = (size[i] - 1) * given["strides"][i] + spans[i] + more[i]
        assume(whole > given["pads"][i] + given["pads"][rank + i])
    w = draw_normal(4, 2, *given["kernel_shape"], seed=1)
    assert_same(
        "ConvTranspose", draw_normal(2, 4, *size), w, draw_normal(2 * group),
        group=group, output_padding=more, **given,
    )  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(case=windows(), ceil=st.integers(0, 1), n=st.integers(1, 2))
@example(case=((5,), {"kernel_shape": [2], "strides": [2], "pads": [0, 0]}), ceil=1, n=2)
def test_a_maximum_and_its_index_equal_onnxruntimes(
    case: tuple[tuple[int, ...], Settings], ceil: int, n: int
) -> None:
    size, given = case
    spans = zip(size, given["kernel_shape"], given.get("dilations", [1]), strict=True)
    assume(all(s > (k - 1) * d for s, k, d in spans))  # no position covers only padding
    # A last position that would start beyond x: onnx infers that it counts, onnxruntime drops it.
    steps = zip(given["strides"], given["kernel_shape"], strict=True)
    assume(not ceil or (all(stride <= k for stride, k in steps) and not any(given["pads"])))
    assert_same("MaxPool", draw_normal(2, 3, *size), n=n, ceil_mode=ceil, **given)


@settings(max_examples=60, deadline=None)
@given(case=windows(), with_pads=st.integers(0, 1))
def test_a_mean_over_windows_equals_onnxruntimes(
    case: tuple[tuple[int, ...], Settings], with_pads: int
) -> None:
    size, given = case
    plain = {name: value for name, value in given.items() if name != "dilations"}
    assume(all(s >= k for s, k in zip(size, given["kernel_shape"], strict=True)))
    assert_same("AveragePool", draw_normal(2, 3, *size), count_include_pad=with_pads, **plain)


def test_ties_go_to_the_first_element() -> None:
    x = np.zeros((1, 1, 4), np.float32)
    assert on("reference", "MaxPool", x, n=2, kernel_shape=[2], strides=[2]).tolist() == [[[0, 2]]]


def test_the_maximum_of_only_nan_is_nan() -> None:
    x = np.full((1, 1, 4), np.nan, np.float32)
    found = operators.max_pool(
        x, n_outputs=2, kernel_shape=[3], pads=[1, 1], strides=[1], storage_order=0
    )
    assert found is not None
    assert np.isnan(found[0]).all()
    assert ((found[1] >= 0) & (found[1] < 4)).all()


@pytest.mark.parametrize("how", ["SAME_UPPER", "SAME_LOWER", "VALID"])
def test_forms_that_training_graphs_do_not_have_are_left_to_the_reference(how: str) -> None:
    x, w = draw_normal(1, 2, 7), draw_normal(3, 2, 3)
    assert operators.conv(x, w, auto_pad=how, group=1) is None
    assert operators.max_pool(x, n_outputs=1, auto_pad=how, kernel_shape=[2]) is None
    assert operators.scatter_elements(x, x, x, axis=0, reduction="mul") is None
    assert operators.pad(x, np.zeros(6, np.int64), mode="reflect") is None


@settings(max_examples=60, deadline=None)
@given(case=windows(), seed=st.integers(0, 9))
def test_folding_is_the_adjoint_of_unfolding(
    case: tuple[tuple[int, ...], Settings], seed: int
) -> None:
    """<unfold x, c> = <x, fold c>, in integers, so without rounding."""
    size, given = case
    kernel = given.pop("kernel_shape")
    over = Windows.over(size, kernel, **given)
    rng = np.random.default_rng(seed)
    x = rng.integers(-9, 9, (2, 3, *size))
    columns = rng.integers(-9, 9, over.unfold(x).shape)
    assert np.vdot(over.unfold(x), columns) == np.vdot(x, over.fold(columns, size))


def test_unfolding_by_hand() -> None:
    over = Windows.over([4], [2], strides=[2], pads=[1, 1])
    x = np.array([[[1, 2, 3, 4]]])
    assert over.unfold(x).tolist() == [[[[0, 2, 4], [1, 3, 0]]]]


def test_scattering_adds_collisions_and_accepts_negative_indices() -> None:
    data, indices = np.zeros((3, 2), np.float32), np.array([[0, 2], [0, -1], [-3, 1]])
    updates = np.array([[1, 10], [2, 20], [4, 40]], np.float32)
    found = operators.scatter_elements(data, indices, updates, axis=0, reduction="add")
    assert found[0].tolist() == [[7, 0], [0, 40], [0, 30]]
    assert not data.any()


@pytest.mark.parametrize("index", [3, -4, 2**40])
def test_an_index_out_of_range_is_refused_and_hits_nothing_else(index: int) -> None:
    data = np.zeros((3, 2), np.float32)
    with pytest.raises(IndexError):
        operators.scatter_elements(data, np.array([[index, 0]]), data[:1], axis=0, reduction="add")
    with pytest.raises(IndexError):
        operators.gather_elements(data, np.array([[index, 0]]), axis=0)


def test_gathering_along_a_long_axis_equals_onnxruntimes() -> None:
    indices = np.random.default_rng(0).integers(-200, 200, (2, 300))
    assert_same("GatherElements", draw_normal(2, 200), indices, axis=1)


SMOOTH = "Softmax LogSoftmax Softplus Sigmoid Tanh Elu Selu HardSwish Erf ReduceLogSumExp"


@pytest.mark.parametrize("op_type", SMOOTH.split())
def test_large_numbers_do_not_become_infinite_or_nan(op_type: str) -> None:
    """Untrained models produce them, and a NaN loss would end the round."""
    x = np.array([[-3e4, -200, -20, 0, 20, 200, 3e4], [5, 4, 3, 2, 1, 0, -1]], np.float32)
    found = on("reference", op_type, x)
    assert np.isfinite(found).all()
    assert_same(op_type, x)


def test_a_sigmoid_is_accurate_at_both_ends() -> None:
    x = np.array([-1000, -80, 0, 80, 1000], np.float32)
    (y,) = operators.sigmoid(x)
    np.testing.assert_allclose(y, [0, np.exp(-80.0), 0.5, 1, 1], rtol=1e-6)
    assert y.dtype == np.float32
