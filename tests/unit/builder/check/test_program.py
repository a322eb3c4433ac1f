"""A graph in float64 is the same function to sixteen digits, run whole or after a change."""

import math

import numpy as np
import onnx
import pytest

from fedge.builder.check.double import in_double
from fedge.builder.check.program import Program
from fedge.errors import ArtifactError, TrainingError
from tests.support.onnx_texts import model_of


def program(nodes: str, inputs: str, outputs: str, **tensors: object) -> Program:
    model = model_of(nodes, inputs=inputs, outputs=outputs, opset=18, **tensors)  # type: ignore[arg-type]
    return Program(in_double(model.SerializeToString()))


@pytest.mark.parametrize(
    ("nodes", "want"),
    [
        ("y = Erf(x)", math.erf(0.3)),
        ("c = Constant <value_float = 1.5> () y = Div(x, c)", 0.2),
        ("c = Constant <value_floats = [1.5]> () y = Div(x, c)", 0.2),
        ("c = Constant <value = float {1.5}> () y = Div(x, c)", 0.2),
        ("s = Shape(x) c = ConstantOfShape(s) e = Exp(x) y = Add(e, c)", math.exp(0.3)),
        ("i = Cast <to = 7> (x) f = Cast <to = 1> (i) e = Exp(x) y = Add(e, f)", math.exp(0.3)),
        ("y = Mul(x, w)", 0.3 * float(np.float32(0.1))),
        ("y = Softplus(x)", math.log1p(math.exp(0.3))),
    ],
)
def test_nothing_is_rounded_to_float32(nodes: str, want: float) -> None:
    found = program(nodes, "float[1] x", "float[1] y", w=[0.1]).outputs({"x": np.array([0.3])})
    assert found["y"].dtype == np.float64
    assert found["y"][0] == pytest.approx(want, rel=1e-15)


def test_a_change_reruns_what_depends_on_it_and_nothing_else() -> None:
    """y = 2 a + b^2."""
    made = program("c = Add(a, a) d = Mul(b, b) y = Add(c, d)", "float a, float b", "float y")
    values = made.values({"a": np.array(1.0), "b": np.array(3.0)})
    assert values["y"] == 11
    assert made.rerun(values, {"a": np.array(2.0)}, "y") == 13
    assert made.rerun(values, {"b": np.array(1.0)}, "y") == 3
    assert made.rerun(values | {"d": np.array(100.0)}, {"a": np.array(2.0)}, "y") == 104
    assert made.rerun(values, {}, "y") == 11


def test_a_subgraph_sees_the_values_around_it() -> None:
    """y = a + 2 b through a branch that reads b from outside; a change of b reaches it."""
    branch = "g () => (float z) { t = Add(b, b) z = Add(a, t) }"
    made = program(
        f"y = If <then_branch = {branch}, else_branch = {branch}> (c)",
        "bool c, float a, float b",
        "float y",
    )
    values = made.values({"c": np.ones((), bool), "a": np.array(1.0), "b": np.array(3.0)})
    assert values["y"] == 7
    assert made.rerun(values, {"b": np.array(5.0)}, "y") == 11


def test_a_node_that_fails_is_named() -> None:
    made = program("y = Gather(x, i)", "float[3] x, int64[1] i", "float[1] y")
    with pytest.raises(TrainingError, match=r"'y' \(Gather\)"):
        made.outputs({"x": np.zeros(3), "i": np.array([7])})


def test_an_operator_that_the_reference_does_not_know_is_named() -> None:
    node = onnx.helper.make_node("Inventive", ["x"], ["y"])
    info = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    graph = onnx.helper.make_graph([node], "g", [info], [])
    with pytest.raises(ArtifactError, match=r"Inventive"):
        Program(onnx.helper.make_model(graph))
