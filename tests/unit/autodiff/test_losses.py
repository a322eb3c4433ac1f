"""Losses against calculations by hand, and their slopes against the losses."""

import numpy as np
import numpy.typing as npt
import pytest

from fedge.autodiff import LOSSES, Graph, Tensor, get_loss, to_model
from fedge.errors import ConfigError, ModelError
from tests.support.onnx_runs import run_onnxruntime, run_reference

REAL = np.dtype(np.float64)


def losses_of(
    name: str, scores: npt.ArrayLike, target: npt.ArrayLike, dtype: npt.DTypeLike = np.float64
) -> tuple[npt.NDArray, npt.NDArray]:
    """Losses and slopes: float64 by onnx's reference, float32 by onnxruntime."""
    run = run_reference if dtype == np.float64 else run_onnxruntime
    feeds = {"s": np.asarray(scores, dtype), "t": np.asarray(target)}
    g = Graph()
    tensor = g.tensors[g.add_input("s", Tensor(np.dtype(dtype), feeds["s"].shape))]
    wanted = get_loss(name).target(tensor)
    feeds["t"] = feeds["t"].astype(wanted.dtype)
    assert wanted.shape == feeds["t"].shape
    g.add_input("t", wanted)
    losses, slope = get_loss(name).losses(g, "s", "t")
    found = run(to_model(g, ["s", "t"], {"losses": losses, "slope": slope}), feeds)
    return found[0], found[1]


def test_cross_entropy_by_hand() -> None:
    losses, slope = losses_of("cross_entropy", [[0, 0], [np.log(3), 0]], [1, 0])
    np.testing.assert_allclose(losses, [np.log(2), np.log(4 / 3)])
    np.testing.assert_allclose(slope, [[0.5, -0.5], [-0.25, 0.25]])


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_masked_class_does_not_affect_cross_entropy(dtype: npt.DTypeLike) -> None:
    losses, slope = losses_of("cross_entropy", [[0, -np.inf, np.log(3)]], [0], dtype)
    np.testing.assert_allclose(losses, [np.log(4)], rtol=1e-6)
    np.testing.assert_allclose(slope, [[-0.75, 0, 0.75]], rtol=1e-6)


def test_cross_entropy_over_positions_is_their_mean() -> None:
    scores = np.zeros((1, 4, 3))
    scores[0, :, 2] = [np.log(5), 0, 0, 0]
    losses, slope = losses_of("cross_entropy", scores, [[0, 1, 0]])
    np.testing.assert_allclose(losses, [(np.log(4) + np.log(4) + np.log(8 / 5)) / 3])
    np.testing.assert_allclose(slope[0, :, 0], np.array([-0.75, 0.25, 0.25, 0.25]) / 3)


def test_mean_squared_error_by_hand() -> None:
    losses, slope = losses_of("mse", [[1, 2], [0, 0]], [[1, 4], [3, -1]])
    np.testing.assert_allclose(losses, [2, 5])
    np.testing.assert_allclose(slope, [[0, -2], [-3, 1]])


def test_mean_squared_error_of_one_number_per_example() -> None:
    losses, slope = losses_of("mse", [1, 2], [3, 2])
    np.testing.assert_allclose([losses, slope], [[4, 0], [-4, 0]])


def test_binary_cross_entropy_by_hand() -> None:
    losses, slope = losses_of("binary_cross_entropy", [[0], [np.log(3)]], np.array([[1], [0.5]]))
    want = [np.log(2), -0.5 * np.log(3 / 4) - 0.5 * np.log(1 / 4)]
    np.testing.assert_allclose(losses, want)
    np.testing.assert_allclose(slope, [[-0.5], [0.25]])


def test_binary_cross_entropy_of_enormous_scores_is_finite() -> None:
    losses, slope = losses_of("binary_cross_entropy", [[1e4], [-1e4]], [[0], [1]], np.float32)
    np.testing.assert_allclose(losses, [1e4, 1e4])
    np.testing.assert_allclose(slope, [[1], [-1]])


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 4)])
def test_slopes_are_the_derivatives_of_the_losses(name: str, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    scores, way = rng.standard_normal((2, *shape))
    classes = rng.integers(0, 3, (shape[0], *shape[2:]))
    target = classes if name == "cross_entropy" else rng.standard_normal(shape)
    high, low = (losses_of(name, scores + s * way, target)[0] for s in (1e-5, -1e-5))
    _, slope = losses_of(name, scores, target)
    change = (slope * way).reshape(len(scores), -1).sum(axis=1)
    np.testing.assert_allclose(change, (high - low) / 2e-5, rtol=1e-6)


def exported_softmax(g: Graph, x: str) -> str:
    """As some exporters write it: e = exp(x - max x), e / sum e."""
    axes = g.ints([1])
    e = g.op("Exp", g.op("Sub", x, g.op("ReduceMax", x, axes)))
    return g.op("Div", e, g.op("ReduceSum", e, axes))


def test_final_activations_are_left_out() -> None:
    g = Graph()
    x = g.add_input("x", Tensor(REAL, (2, 3)))
    entropy, binary = get_loss("cross_entropy"), get_loss("binary_cross_entropy")
    assert entropy.scores(g, g.op("Softmax", x)) == x
    assert entropy.scores(g, g.op("LogSoftmax", x, axis=1)) == x
    assert entropy.scores(g, g.op("Identity", g.op("Softmax", x))) == x
    assert entropy.scores(g, exported_softmax(g, x)) == x
    assert binary.scores(g, g.op("Sigmoid", x)) == x


def test_final_activations_that_do_not_belong_to_the_loss_stay() -> None:
    g = Graph()
    x = g.add_input("x", Tensor(REAL, (2, 3)))
    sigmoid = g.op("Sigmoid", x)
    ratio = g.op("Div", g.op("Exp", x), g.op("ReduceSum", g.op("Exp", x), g.ints([0])))
    entropy = get_loss("cross_entropy")
    for output in (sigmoid, ratio, x):
        assert entropy.scores(g, output) == output
    assert get_loss("mse").scores(g, sigmoid) == sigmoid


def test_a_final_softmax_along_another_axis_is_refused() -> None:
    g = Graph()
    x = g.add_input("x", Tensor(REAL, (2, 3, 4)))
    with pytest.raises(ModelError, match="along axis 1; transpose"):
        get_loss("cross_entropy").scores(g, g.op("Softmax", x, axis=-1))


def test_cross_entropy_needs_an_axis_of_classes() -> None:
    for shape in [(4,), (4, 1)]:
        with pytest.raises(ModelError, match="binary_cross_entropy"):
            get_loss("cross_entropy").target(Tensor(REAL, shape))


def test_the_error_for_an_unknown_loss_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=", ".join(LOSSES)):
        get_loss("hinge")
