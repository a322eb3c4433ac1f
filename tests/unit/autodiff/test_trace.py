"""Models as exporters wrote them become one canonical form with the same meaning."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from fedge.autodiff import trace
from fedge.errors import ModelError
from tests.support.traced_models import assert_same_meaning, model_of, random, store


def parameters_of(model: onnx.ModelProto) -> dict[str, str]:
    return {name: p.kind for name, p in trace(model, batch_size=2).parameters.items()}


def test_initializers_are_parameters_in_the_order_of_their_use() -> None:
    model = store(model_of("y = Gemm(x, w, b)"), b=random(3), unused=random(3), w=random(4, 3))
    assert list(parameters_of(model).items()) == [("w", "weight"), ("b", "bias")]


def test_initializers_that_are_inputs_too_are_parameters() -> None:
    model = store(model_of("y = MatMul(x, w)"), w=random(4, 3))
    model.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, (4, 3)))
    assert trace(model, batch_size=2).inputs == ("x",)
    assert parameters_of(model) == {"w": "weight"}


def test_constant_nodes_are_parameters_unless_they_are_single_numbers() -> None:
    model = model_of(
        "w = Constant <value = float[4, 2] {1, 2, 3, 4, 5, 6, 7, 8}> ()"
        "half = Constant <value_float = 0.5> ()"
        "z = MatMul(x, w) y = Mul(z, half)"
    )
    assert parameters_of(model) == {"w": "weight"}
    assert_same_meaning(model, random(3, 4))


def test_parameters_that_an_exporter_stored_once_become_two_again() -> None:
    model = model_of("v = Identity(w) a = MatMul(x, w) y = MatMul(a, v)")
    store(model, w=random(4, 4))
    assert parameters_of(model) == {"w": "weight", "v": "weight"}
    assert_same_meaning(model, random(3, 4))


def test_a_quantised_parameter_has_its_dequantised_value() -> None:
    model = model_of("w = DequantizeLinear(q, scale, zero) y = MatMul(x, w)")
    store(model, q=np.array([[1], [2], [-3], [0]], np.int8), scale=0.5, zero=np.int8(1))
    traced = trace(model, batch_size=2)
    np.testing.assert_array_equal(traced.parameters["w"].value, [[0], [0.5], [-2], [-0.5]])


def test_statistics_and_settings_are_not_weights() -> None:
    model = model_of("z = BatchNormalization(x, s, b, m, v) y = Clip(z, low)")
    store(model, s=random(4), b=random(4), m=random(4), v=np.ones(4), low=0.0)
    kinds = {"s": "weight", "b": "bias", "m": "statistic", "v": "statistic"}
    assert parameters_of(model) == kinds


def test_a_weight_reshaped_in_the_graph_stays_a_parameter() -> None:
    model = store(
        model_of("v = Reshape(w, s) y = MatMul(x, v)"), w=random(2, 2, 3), s=np.array([4, 3])
    )
    assert parameters_of(model) == {"w": "weight"}
    assert_same_meaning(model, random(3, 4))


@pytest.mark.parametrize("target", [[1, 2, 2], [1, -1, 2], [0, 2, 2], [-1, 2, 2]])
def test_a_reshape_written_for_one_example_works_on_a_batch(target: list[int]) -> None:
    nodes = "z = Reshape(x, s) y = ReduceSum <keepdims = 0> (z, a)"
    model = model_of(nodes, inputs="float[1, 4] x", outputs="float[1, M] y")
    store(model, s=np.array(target), a=np.array([1]))
    traced = trace(model, batch_size=5)
    assert traced.graph.shape(traced.outputs[0]) == (5, 2)


def test_a_shape_computed_from_the_input_is_a_constant() -> None:
    model = model_of(
        "s = Shape(x) n = Gather(s, zero) n1 = Unsqueeze(n, zeros)"
        "t = Concat <axis = 0> (n1, rest) y = Reshape(x, t)",
        outputs="float[N, A, B] y",
    )
    store(model, zero=np.array(0), zeros=np.array([0]), rest=np.array([2, 2]))
    assert [node.op_type for node in trace(model, batch_size=3).graph.nodes] == ["Reshape"]


@pytest.mark.parametrize(
    ("opset", "node"),
    [
        (9, "y = Clip <min = -0.5, max = 0.5> (x)"),
        (9, "y = Pad <pads = [0, 1, 0, 2], value = 3.0> (x)"),
        (9, "y = Slice <starts = [1], ends = [-1], axes = [1]> (x)"),
        (11, "y = Softmax (x)"),
        (11, "y = ReduceMean <axes = [-1], keepdims = 1> (x)"),
        (11, "y = Unsqueeze <axes = [1]> (x)"),
        (11, "a, b = Split <axis = 1, split = [1, 3]> (x) y = Concat <axis = 1> (b, a)"),
        (11, "y, mask = Dropout <ratio = 0.9> (x)"),
        (7, "y = Dropout (x)"),
        (22, "half = Constant <value_float = 0.5> () y, mask = Dropout <seed = 7> (x, half)"),
        (17, "a = Cast <to = 1> (x) y = Identity (a)"),
    ],
)
def test_old_forms_of_operators_keep_their_meaning(opset: int, node: str) -> None:
    outputs = "float[N, 1, 4] y" if "Unsqueeze" in node else "float[N, M] y"
    assert_same_meaning(model_of(node, opset=opset, outputs=outputs), random(3, 4))


def test_softmax_before_opset_13_flattens() -> None:
    model = model_of(
        "y = Softmax(x)", inputs="float[N, 2, 3] x", outputs="float[N, 2, 3] y", opset=11
    )
    assert_same_meaning(model, random(2, 2, 3))


@pytest.mark.parametrize("how", ["SAME_UPPER", "SAME_LOWER", "VALID"])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_automatic_padding_becomes_explicit(how: str, stride: int) -> None:
    model = model_of(
        f'z = Conv <auto_pad = "{how}", strides = [{stride}, 1]> (x, w)'
        f'y = MaxPool <auto_pad = "{how}", kernel_shape = [2, 3], strides = [1, {stride}]> (z)',
        inputs="float[N, 2, 7, 8] x",
        outputs="float[N, A, B, C] y",
    )
    assert_same_meaning(store(model, w=random(3, 2, 4, 3)), random(2, 2, 7, 8))


def test_repeated_operations_become_one_node() -> None:
    traced = trace(model_of("a = Exp(x) b = Exp(x) y = Add(a, b)"), batch_size=2)
    assert [node.op_type for node in traced.graph.nodes] == ["Exp", "Add"]


def refusal(model: onnx.ModelProto) -> str:
    with pytest.raises(ModelError) as caught:
        trace(model, batch_size=2)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_node_that_cannot_be_read_is_refused_by_name_and_operator() -> None:
    random_numbers = model_of("y = RandomNormalLike(x)")
    random_numbers.graph.node[0].name = "noise"
    assert "'noise' (RandomNormalLike)" in refusal(random_numbers)


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ("y = If (c) <then_branch = t () => (float[N] z) { z = Exp(x) }>", "control flow"),
        ("y = NonZero(x)", "depends on the data"),
        ("y = Reshape(x, x)", "Reshape"),
        ("y, m, v = BatchNormalization <training_mode = 1> (x, s, b, m0, v0)", "for inference"),
        ("z, mask = Dropout(x) y = Not(mask)", "node 'z' (Dropout) has the output 'mask'"),
        ("z, y = Dropout(x)", "the output reads it"),
        ("r = ReduceMax <keepdims = 0> (x) y = Dropout(x, r)", "node 'y' (Dropout)"),
        ("y = Dropout(x, h)", "constants of one element"),
        (
            "m = ReduceMax <keepdims = 0> (x) b = Cast <to = 9> (m) y = Dropout(x, one, b)",
            "constants of one element",
        ),
        ("y = Dropout(x, one)", "has the ratio 1; it must be at least 0 and below 1"),
        ("y = Dropout(x, nan)", "has the ratio nan"),
        ("r = Constant <value = double {1e300}> () y = Dropout(x, r)", "has the ratio inf"),
        ("y = Dropout(x, below)", "has the ratio -0.1"),
        ("y = Add(x, nobody)", "'nobody'"),
        ("y = Gemm(x, x)", "Gemm"),
        ("y = Nothing(x)", "no operator Nothing"),
        ("y = Squeeze <axes = [1]> (x)", "Squeeze"),
        ("y = Concat(x, x)", "Concat"),
    ],
)
def test_refusals_say_why(nodes: str, expected: str) -> None:
    model = model_of(nodes)
    store(model, c=True, s=random(4), b=random(4), m0=random(4), v0=np.ones(4))
    store(model, one=1.0, nan=np.nan, below=-0.1, h=[0.5, 0.5])
    assert expected in refusal(model)


def test_foreign_operators_are_refused() -> None:
    model = model_of("y = Exp(x)")
    model.graph.node[0].domain = "com.example"
    assert "com.example" in refusal(model)


def test_old_models_are_refused_with_a_pointer_to_the_converter() -> None:
    assert "version_converter" in refusal(model_of("y = Exp(x)", opset=6))


def test_open_axes_other_than_the_batch_need_the_shape_of_an_example() -> None:
    model = model_of("y = Exp(x)", inputs="float[N, T] x")
    assert "[N, T]" in refusal(model)
    traced = trace(model, batch_size=2, input_shapes={"x": [7]})
    assert traced.graph.shape(traced.outputs[0]) == (2, 7)


def test_an_enormous_constant_is_refused_before_it_is_allocated() -> None:
    model = model_of("c = ConstantOfShape(s) y = Add(x, c)")
    assert "elements" in refusal(store(model, s=np.array([2**20, 2**20])))
