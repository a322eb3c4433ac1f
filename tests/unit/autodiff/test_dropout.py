"""Dropout in training: a product with factors from outside."""

import numpy as np
import numpy.typing as npt
import onnx
from onnx import parser

from fedge.artifact import DropoutSpec
from fedge.autodiff import FACTORS, Traced, apply_dropout, to_model, trace
from tests.support.onnx_runs import run_onnxruntime

HALF, QUARTER = "h = Constant <value_float = 0.5> ()", "q = Constant <value_float = 0.25> ()"
X = np.array([[1, 2], [3, 4]], np.float32)


def traced(nodes: str) -> Traced:
    text = (
        f'<ir_version: 8, opset_import: ["": 17]> m (float[N, 2] x) => (float[N, M] y) {{{nodes}}}'
    )
    return trace(parser.parse_model(text), batch_size=2)


def dropped(nodes: str, factors: npt.ArrayLike) -> tuple[npt.NDArray, tuple[DropoutSpec, ...]]:
    model, specs = built(nodes)
    (y,) = run_onnxruntime(model, {"x": X, FACTORS: np.asarray(factors, np.float32)})
    return y, specs


def built(nodes: str) -> tuple[onnx.ModelProto, tuple[DropoutSpec, ...]]:
    found = traced(nodes)
    result, specs = apply_dropout(found.graph, found.outputs[0])
    return to_model(found.graph, ["x", FACTORS][: 1 + bool(specs)], {"y": result}), specs


def test_each_activation_is_multiplied_by_its_factor() -> None:
    y, specs = dropped(f"{QUARTER} d = Dropout(x, q) y = Neg(d)", [0, 5, 6, 0])
    np.testing.assert_array_equal(y, [[0, -10], [-18, 0]])
    assert specs == (DropoutSpec(ratio=0.25, size=4),)


def test_factors_are_in_the_order_of_the_nodes() -> None:
    nodes = (
        f"{HALF}{QUARTER} a = Dropout(x, q) r = Constant <value_ints = [1]> ()"
        "s = ReduceSum(a, r) y = Dropout(s, h)"
    )
    y, specs = dropped(nodes, [1, 2, 3, 4, 10, 100])
    np.testing.assert_array_equal(y, [[10 * (1 + 4)], [100 * (9 + 16)]])
    assert specs == (DropoutSpec(ratio=0.25, size=4), DropoutSpec(ratio=0.5, size=2))


def test_two_dropouts_on_one_activation_drop_independently() -> None:
    y, specs = dropped(f"{HALF} a = Dropout(x, h) b = Dropout(x, h) y = Sub(a, b)", range(8))
    np.testing.assert_array_equal(y, X * -4)
    assert [spec.size for spec in specs] == [4, 4]


def test_factors_of_one_change_nothing() -> None:
    y, _ = dropped("a = Tanh(x) d = Dropout(a) y = Add(d, x)", np.ones(4))
    (want,) = run_onnxruntime(built("a = Tanh(x) y = Add(a, x)")[0], {"x": X})
    np.testing.assert_array_equal(y, want)


def test_the_training_graph_draws_no_random_numbers() -> None:
    model, _ = built("a = Tanh(x) d = Dropout(a) y = Add(d, x)")
    assert {node.op_type for node in model.graph.node} == {"Tanh", "Slice", "Reshape", "Mul", "Add"}


def test_the_result_without_dropout_is_kept() -> None:
    found = traced("a = Tanh(x) d = Dropout(a) y = Add(d, x)")
    before = to_model(found.graph, ["x"], {"y": found.outputs[0]})
    apply_dropout(found.graph, found.outputs[0])
    assert to_model(found.graph, ["x"], {"y": found.outputs[0]}) == before


def test_a_dropout_of_ratio_zero_or_without_effect_adds_nothing() -> None:
    found = traced(
        "z = Constant <value_float = 0.0> () d = Dropout(x, z) e = Dropout(x) y = Neg(d)"
    )
    n_nodes = len(found.graph.nodes)
    assert apply_dropout(found.graph, found.outputs[0]) == (found.outputs[0], ())
    assert len(found.graph.nodes) == n_nodes
    assert FACTORS not in found.graph.tensors


def test_messages_still_name_the_models_node() -> None:
    found = traced("a = Tanh(x) d = Dropout(a) y = Add(d, x)")
    result, _ = apply_dropout(found.graph, found.outputs[0])
    assert found.graph.origins[result] == "y"
