"""A graph that computes something other than the model is refused at build time, by node."""

from collections.abc import Callable

import onnx
import pytest
from onnx import helper

from fedge.autodiff.forms.table import FORMS, Call
from fedge.autodiff.graph import Graph, Name
from fedge.builder import build_artifact
from fedge.errors import ModelError
from tests.support.onnx_texts import model_of

BOTH = "h = MatMul(x, w) y = Relu(h)"


def refusal(model: onnx.ModelProto) -> str:
    with pytest.raises(ModelError) as caught:
        build_artifact(model, loss="mse", batch_size=4)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def named(model: onnx.ModelProto) -> onnx.ModelProto:
    for node in model.graph.node:
        node.name = f"n_{node.output[0]}"
    return model


def planted(monkeypatch: pytest.MonkeyPatch, op_type: str, form: Callable) -> None:
    monkeypatch.setitem(FORMS, op_type, form)


def test_a_form_that_computes_something_else_is_refused_by_node(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def leaky(g: Graph, call: Call) -> tuple[Name, ...]:
        return (g.op("LeakyRelu", call.inputs[0], alpha=0.01),)

    planted(monkeypatch, "Relu", leaky)
    said = refusal(named(model_of(BOTH, w=(4, 3))))
    assert said.startswith("node 'n_y' (Relu) computes something else")


def test_an_error_that_shows_only_on_ties_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Greater and GreaterOrEqual differ only on ties, which random examples never have."""

    def strict(g: Graph, call: Call) -> tuple[Name, ...]:
        return (g.op("Greater", *call.inputs),)

    planted(monkeypatch, "GreaterOrEqual", strict)
    nodes = "c = GreaterOrEqual(x, zero) f = Cast <to = 1> (c) y = MatMul(f, w)"
    model = named(model_of(nodes, w=(4, 3)))
    model.graph.initializer.append(helper.make_tensor("zero", 1, [], [0.0]))
    assert "'n_c' (GreaterOrEqual) computes something else" in refusal(model)


def test_a_graph_that_does_not_run_is_refused_by_node() -> None:
    """Exported with batch size 1: the middle axis of the reshape was the batch."""
    nodes = (
        "r = Reshape(x, t) m = ReduceMean <axes = [0], keepdims = 0> (r)"
        "s = ReduceMean <axes = [1], keepdims = 0> (x) z = Add(s, m) y = MatMul(z, w)"
    )
    model = named(model_of(nodes, inputs="float[1, 2, 4] x", w=(4, 3)))
    model.graph.initializer.append(helper.make_tensor("t", 7, [3], [2, 1, 4]))
    said = refusal(model)
    assert said.startswith("node 'n_r' (Reshape) does not run in the graph built for batches of 4")
    assert "fixed to batches of 1: export it with an open batch axis" in said


def test_examples_that_influence_each_other_are_refused_by_node() -> None:
    nodes = "m = ReduceMean <axes = [0], keepdims = 1> (x) c = Sub(x, m) y = MatMul(c, w)"
    said = refusal(named(model_of(nodes, w=(4, 3))))
    assert said.startswith("node 'n_c' (Sub) lets examples influence each other in batches of 4")


def test_a_model_that_does_not_run_itself_is_refused() -> None:
    nodes = "r = Reshape(x, t) y = MatMul(r, w)"
    model = model_of(nodes, w=(4, 3))
    model.graph.initializer.append(helper.make_tensor("t", 7, [2], [3, 4]))
    assert refusal(model)


def test_examples_that_the_model_itself_refuses_are_left_out() -> None:
    """Nothing reveals that the index is nine times the input; only zeros stay in the table."""
    model = model_of("i = Mul(x, nine) y = Gather(w, i)", inputs="int64[N] x", w=(8, 3))
    model.graph.initializer.append(helper.make_tensor("nine", 7, [], [9]))
    artifact = build_artifact(model, loss="mse", batch_size=4)
    assert artifact.manifest.inputs[0].dtype == "int64"


@pytest.mark.parametrize("batch_size", [1, 4, 16])
def test_a_correct_model_is_built_at_every_batch_size(batch_size: int) -> None:
    artifact = build_artifact(model_of(BOTH, w=(4, 3)), loss="mse", batch_size=batch_size)
    assert artifact.manifest.batch_size == batch_size


def test_nan_and_infinity_agree_if_they_are_in_the_same_places() -> None:
    nodes = "l = Log(x) y = MatMul(l, w)"  # NaN for negative examples, -infinity for zeros
    build_artifact(model_of(nodes, w=(4, 3)), loss="mse", batch_size=4)
