"""Which of a model's tensors are parameters: hand-made cases that were once answered wrongly."""

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedge.autodiff import find_stored
from fedge.autodiff.formulas import is_formula, is_mask
from fedge.builder import build_artifact
from fedge.training import Trainer
from tests.support.traced_models import by_torch, model_of, random, sinusoids, store


def trained_of(model: onnx.ModelProto) -> dict[str, bool]:
    return {name: found.is_parameter for name, found in find_stored(model).items()}


def test_an_added_mask_is_a_constant() -> None:
    mask = np.triu(np.full((4, 4), -1e9), 1)
    model = store(model_of("z = MatMul(x, w) y = Add(z, mask)"), w=random(4, 4), mask=mask)
    assert trained_of(model) == {"w": True, "mask": False}


def test_a_table_of_sinusoids_is_a_constant_and_a_learned_table_is_not() -> None:
    model = model_of("a = Add(x, pe) b = Add(a, learned) y = MatMul(b, w)")
    store(model, pe=sinusoids(8, 4), learned=random(8, 4), w=random(4, 2))
    assert trained_of(model) == {"pe": False, "learned": True, "w": True}
    doubts = {name for name, found in find_stored(model).items() if found.is_doubtful}
    assert doubts == {"pe", "learned"}


def test_rotary_tables_are_constants() -> None:
    angles = np.tile(np.arange(8)[:, None] / 10_000 ** (np.arange(2) / 2), (1, 2))
    model = model_of("z = MatMul(x, w) a = Mul(z, cosines) b = Mul(z, sines) y = Add(a, b)")
    store(model, w=random(4, 4), cosines=np.cos(angles), sines=np.sin(angles))
    assert trained_of(model) == {"w": True, "cosines": False, "sines": False}


def test_mean_and_deviation_of_the_input_are_constants() -> None:
    model = model_of("a = Sub(x, mean) b = Div(a, std) y = MatMul(b, w)")
    store(model, mean=random(4), std=1 + random(4) ** 2, w=random(4, 2))
    assert trained_of(model) == {"mean": False, "std": False, "w": True}


def test_a_tensor_subtracted_after_a_layer_is_trained() -> None:
    model = store(model_of("a = MatMul(x, w) y = Sub(a, b)"), w=random(4, 2), b=random(2))
    assert trained_of(model) == {"w": True, "b": True}


def test_exponents_and_bounds_are_settings() -> None:
    model = model_of("a = Pow(x, e) b = Clip(a, low) y = MatMul(b, w)")
    store(model, e=np.array([1, 2, 3, 2.0]), low=0.1, w=random(4, 2))
    assert trained_of(model) == {"e": False, "low": False, "w": True}


def test_the_initial_state_of_a_recurrent_layer_is_a_setting() -> None:
    nodes = (
        "s = Unsqueeze(x, ax) h, last = GRU <hidden_size = 3> (s, w, r, b, , h0)"
        "y = Squeeze(last, zero)"
    )
    model = store(
        model_of(nodes), w=random(1, 9, 4), r=random(1, 9, 3), b=random(1, 18),
        h0=random(1, 2, 3), ax=np.array([0]), zero=np.array([0]),
    )  # fmt: skip
    assert trained_of(model) == {"w": True, "r": True, "b": True, "h0": False}


def test_a_scalar_that_a_torch_module_owns_is_trained() -> None:
    model = by_torch(model_of("a = MatMul(x, onnx__w) y = Mul(a, gate)"))
    assert trained_of(store(model, onnx__w=random(4, 2), gate=0.5)) == {
        "onnx__w": True,
        "gate": True,
    }


def test_a_scalar_that_no_module_owns_is_a_constant() -> None:
    model = store(model_of("a = MatMul(x, w) y = Mul(a, half)"), w=random(4, 2), half=0.5)
    assert trained_of(model) == {"w": True, "half": False}


def test_a_tensor_that_torch_writes_as_a_constant_node_belongs_to_no_module() -> None:
    nodes = (
        "c = Constant <value = float[2] {5, 3}> () a = MatMul(x, w) b = Add(a, bias) y = Mul(b, c)"
    )
    model = store(by_torch(model_of(nodes)), w=random(4, 2), bias=random(2))
    assert trained_of(model) == {"w": True, "bias": True, "c": False}
    model.producer_name = "CNTK"  # writes parameters this way too
    assert trained_of(model)["c"]


def test_the_exporters_notes_override_everything_else() -> None:
    model = model_of("a = MatMul(x, fixed) b = Add(a, pe) p = Pow(b, e) y = Mul(p, scale)")
    store(model, fixed=random(4, 4), pe=sinusoids(8, 4), e=np.array([3.0]), scale=2.0)
    by_torch(model, fixed="BUFFER", pe="PARAMETER", e="PARAMETER", scale="CONSTANT_TENSOR")
    assert trained_of(model) == {"fixed": False, "pe": True, "e": True, "scale": False}
    assert not any(found.is_doubtful for found in find_stored(model).values())


def test_a_parameter_is_found_through_functions_and_joins_of_parameters() -> None:
    nodes = (
        "e = Expand(token, shape) j = Concat <axis = 0> (w1, w2) a = MatMul(x, j)"
        "s = Exp(log_scale) b = Mul(a, s) y = Concat <axis = 0> (e, b)"
    )
    model = store(
        by_torch(model_of(nodes)), token=random(1, 2), shape=np.array([1, 2]), w1=random(2, 2),
        w2=random(2, 2), log_scale=np.float32(0.1),
    )  # fmt: skip
    assert set(trained_of(model).values()) == {True}


def test_a_model_of_another_producer_keeps_biases_of_any_layout() -> None:
    model = model_of("a = Add(x, b) y = Mul(a, s)", inputs="float[N, 4, 3] x")
    store(model, b=random(4, 1), s=random(1, 4, 1))
    assert trained_of(model) == {"b": True, "s": True}


@given(st.integers(0, 2**32 - 1), st.sampled_from([(8,), (1, 5, 8), (6, 6), (4, 7, 5)]))
def test_random_numbers_follow_no_formula(seed: int, shape: tuple[int, ...]) -> None:
    drawn = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    assert not is_formula(drawn)
    assert not is_formula(1 + np.float32(1e-3) * drawn)
    assert not is_mask(drawn)


@pytest.mark.parametrize("width", [8, 64, 512])
@pytest.mark.parametrize("n_positions", [5, 50, 2048])
def test_sinusoids_follow_a_formula_however_slow(n_positions: int, width: int) -> None:
    assert is_formula(sinusoids(n_positions, width).astype(np.float32))


def distances(n: int) -> np.ndarray:
    return -np.abs(np.subtract.outer(np.arange(n), np.arange(n))).astype(np.float32)


def test_the_padding_row_has_no_gradient_and_the_others_have_one() -> None:
    table = random(5, 4)
    table[2] = 0
    nodes = "e = Gather(table, x) m = ReduceMean <axes = [1], keepdims = 0> (e) y = MatMul(m, w)"
    model = store(model_of(nodes, inputs="int64[N, 3] x"), table=table, w=random(4, 2))
    found = find_stored(model)["table"]
    assert (found.padding, found.is_parameter, found.is_doubtful) == (2, True, True)
    artifact = build_artifact(model, loss="cross_entropy", batch_size=2)
    x, y = np.array([[0, 2, 1], [2, 2, 4]]), np.zeros(2, np.int64)
    _, gradient = Trainer(artifact).loss_and_gradient(artifact.parameters, {"x": x}, y)
    (slot,) = (slot for slot in artifact.layout if slot.name == "table")
    has_gradient = slot.view(gradient).any(axis=1)
    np.testing.assert_array_equal(has_gradient, [True, True, False, False, True])


@pytest.mark.parametrize("rows", [[], [0, 1], [0, 1, 2, 3, 4]])
def test_a_table_with_another_number_of_zero_rows_has_no_padding(rows: list[int]) -> None:
    table = random(5, 4)
    table[rows] = 0
    model = store(model_of("y = Gather(table, x)", inputs="int64[N] x"), table=table)
    assert find_stored(model)["table"].padding is None


def test_biases_by_distance_follow_a_formula() -> None:
    assert is_formula(distances(6) * (2.0 ** -np.arange(1, 5))[:, None, None])  # Press et al., 2022
    assert not is_formula(distances(3))


@pytest.mark.parametrize("value", [np.arange(8.0), 2.0 ** -np.arange(1.0, 9).reshape(8, 1, 1)])
def test_ramps_and_the_slopes_of_linear_biases_follow_a_formula(value: np.ndarray) -> None:
    assert is_formula(value)  # Press et al., 2022: slopes 2^-1 to 2^-8 for eight heads


@pytest.mark.parametrize("value", [np.ones((4, 8)), np.zeros(9), np.full((2, 8), 0.3)])
def test_equal_numbers_prove_nothing(value: np.ndarray) -> None:
    assert not is_formula(value)
    assert not is_mask(value)


@pytest.mark.parametrize(
    "value",
    [np.tril(np.ones((4, 4))), np.array([0, -np.inf]), np.triu(np.full((3, 3), -65504.0), 1)],
)
def test_ones_and_zeros_or_minus_infinity_are_masks(value: np.ndarray) -> None:
    assert is_mask(value)
