"""A graph under construction, and the reverse sweep over it."""

import numpy as np
import pytest

from fedge.autodiff import Graph, Tensor, gradients, to_bytes, to_model
from fedge.autodiff.table import vjp
from fedge.errors import ModelError
from tests.support.onnx_runs import run_onnxruntime

VECTOR = Tensor(np.dtype(np.float64), (3,))


def graph(*names: str) -> Graph:
    g = Graph()
    for name in names:
        g.add_input(name, VECTOR)
    return g


def test_the_gradients_of_a_product_of_three_are_products_of_two() -> None:
    g = graph("a", "b", "c", "dy")
    y = g.op("Mul", g.op("Mul", "a", "b"), "c")
    found = gradients(g, {y: "dy"}, ["a", "b", "c"])
    model = to_model(g, ["a", "b", "c", "dy"], {f"d{name}": found[name] for name in "abc"})
    a, b, c, dy = (np.array([k, 1.0, -2.0]) for k in (2, 3, 5, 1))
    da, db, dc = run_onnxruntime(model, {"a": a, "b": b, "c": c, "dy": dy})
    np.testing.assert_array_equal([da, db, dc], [dy * b * c, dy * a * c, dy * a * b])


def test_gradients_of_several_uses_add_up() -> None:
    g = graph("x", "dy")
    y = g.op("Sum", "x", g.op("Neg", "x"), g.op("Mul", "x", "x"))
    model = to_model(g, ["x", "dy"], {"dx": gradients(g, {y: "dy"}, ["x"])["x"]})
    (dx,) = run_onnxruntime(model, {"x": np.array([1.0, 2.0, 3.0]), "dy": np.ones(3)})
    np.testing.assert_array_equal(dx, [2.0, 4.0, 6.0])  # d(x - x + x^2) = 2x


def test_nothing_is_emitted_for_what_is_not_wanted() -> None:
    g = graph("a", "b", "dy")
    y = g.op("Mul", "a", "b")
    assert set(gradients(g, {y: "dy"}, ["a"])) == {"a"}
    assert len(g.nodes) == 2


def test_an_input_without_influence_has_no_gradient() -> None:
    g = graph("a", "b", "dy")
    above = g.op("Cast", g.op("Greater", "a", "b"), to=11)
    y = g.op("Mul", above, "b")
    assert set(gradients(g, {y: "dy"}, ["a", "b"])) == {"b"}


def test_an_operator_without_a_rule_is_refused_only_where_a_gradient_passes() -> None:
    g = graph("a", "b", "dy")
    y = g.op("Mul", g.op("Floor", "a"), "b")
    g.origins[g.nodes[0].outputs[0]] = "step"
    assert set(gradients(g, {y: "dy"}, ["b"])) == {"b"}
    with pytest.raises(ModelError, match=r"node 'step' \(Floor\) has no gradient rule"):
        gradients(g, {y: "dy"}, ["a"])


def test_a_padding_other_than_constant_is_refused_by_node() -> None:
    g = graph("a", "dy")
    y = g.op("Pad", "a", g.ints([1, 1]), mode="reflect")
    g.add_input("dy5", Tensor(np.dtype(np.float64), (5,)))
    with pytest.raises(ModelError, match=r"\(Pad\) cannot be differentiated \(mode 'reflect'"):
        gradients(g, {y: "dy5"}, ["a"])


def test_one_operation_is_one_node() -> None:
    g = graph("a")
    assert g.op("Exp", "a") == g.op("Exp", "a")
    assert g.op("LeakyRelu", "a") == g.op("LeakyRelu", "a", alpha=g.nodes[-1].attributes["alpha"])
    assert g.op("LeakyRelu", "a") != g.op("LeakyRelu", "a", alpha=0.5)


def test_equal_constants_share_a_name_unless_their_types_differ() -> None:
    g = graph()
    one = g.constant(np.array(1.0))
    assert g.constant(np.array(1.0)) == one
    assert g.constant(np.array([1.0])) != one
    assert g.constant(np.array(1)) != one


def test_operations_on_constants_are_evaluated_immediately() -> None:
    g = graph()
    total = g.op("Add", g.ints([1, 2]), g.ints([10, 20]))
    assert g.integers(total) == (11, 22)
    assert not g.nodes


def test_an_unknown_attribute_or_operator_is_refused() -> None:
    g = graph("a")
    with pytest.raises(ValueError, match="unknown attribute 'speed'"):
        g.op("Exp", "a", speed=3)
    with pytest.raises(ValueError, match="no operator Explode"):
        g.op("Explode", "a")


def test_a_name_is_never_given_twice() -> None:
    g = graph("a")
    with pytest.raises(ValueError, match="'a'"):
        g.add_input("a", VECTOR)
    g.add_input("Exp.3", VECTOR)
    g.add_input("Exp.2", VECTOR)
    assert g.op("Exp", "a") not in ("Exp.2", "Exp.3")


def test_only_what_the_outputs_need_is_written() -> None:
    g = graph("a")
    g.op("Exp", "a")
    y = g.op("Neg", "a")
    assert [node.op_type for node in to_model(g, ["a"], {"y": y}).graph.node] == ["Neg"]


def test_an_output_may_be_an_input_or_have_two_names() -> None:
    g = graph("a")
    y = g.op("Neg", "a")
    found = run_onnxruntime(to_model(g, ["a"], {"y": y, "z": y, "same": "a"}), {"a": np.ones(3)})
    np.testing.assert_array_equal(found, [-np.ones(3), -np.ones(3), np.ones(3)])


def test_max_pool_outputs_indices_only_if_something_reads_them() -> None:
    g = Graph()
    g.add_input("x", Tensor(np.dtype(np.float32), (1, 1, 4)))
    y, indices = g.ops(2, "MaxPool", "x", kernel_shape=[2])
    assert len(to_model(g, ["x"], {"y": y}).graph.node[0].output) == 1
    assert len(to_model(g, ["x"], {"y": y, "i": indices}).graph.node[0].output) == 2


def test_the_same_graph_gives_the_same_bytes() -> None:
    def build() -> bytes:
        g = graph("a", "b", "dy")
        y = g.op("Div", g.op("Tanh", "a"), g.op("Add", "a", "b"))
        found = gradients(g, {y: "dy"}, ["a", "b"])
        return to_bytes(to_model(g, ["a", "b", "dy"], found))

    assert build() == build()


def test_an_operator_cannot_have_two_rules() -> None:
    with pytest.raises(ValueError, match="Add already has a rule"):
        vjp("Add")(lambda: ())
