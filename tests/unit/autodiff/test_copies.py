"""Parameters that an exporter merged or copied are restored to what the author wrote."""

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from fedge.autodiff import find_stored, settle_copies
from tests.support.onnx_runs import run_onnxruntime
from tests.support.traced_models import model_of, random, store

CALL, SCOPES = "pkg.torch.onnx.fx_node", "pkg.torch.onnx.name_scopes"
TWO_NORMS = "a = LayerNormalization(x, s, b) h = MatMul(a, w) y = LayerNormalization(h, s, b)"


def two_norms() -> onnx.ModelProto:
    return store(model_of(TWO_NORMS), s=np.ones(4), b=np.zeros(4), w=random(4, 4))


def note(model: onnx.ModelProto, calls: list[tuple[str, str]]) -> None:
    """Adds torch's exporter's notes to each node: the call with its parameters, and the module."""
    for node, (names, scope) in zip(model.graph.node, calls, strict=True):
        arguments = ", ".join(f"%{name}" for name in names.split())
        node.metadata_props.add(key=CALL, value=f"%y : [..] = call(args = (%x, {arguments}))")
        node.metadata_props.add(key=SCOPES, value=f"['', '{scope}', 'call']")


def parameters_of(model: onnx.ModelProto) -> set[str]:
    return {name for name, found in find_stored(model).items() if found.is_parameter}


def settled_means_the_same(model: onnx.ModelProto, x: np.ndarray) -> dict[str, str]:
    (want,) = run_onnxruntime(model, {"x": x})
    remarks = settle_copies(model)
    onnx.checker.check_model(model)
    np.testing.assert_array_equal(run_onnxruntime(model, {"x": x})[0], want)
    return remarks


def test_scales_and_biases_that_began_equal_are_separate_parameters() -> None:
    model = two_norms()
    remarks = settled_means_the_same(model, random(3, 4))
    assert len(parameters_of(model)) == 5
    assert set(remarks) == parameters_of(model) - {"s", "b", "w"}


def test_a_matrix_used_twice_is_shared() -> None:
    model = store(model_of("a = MatMul(x, w) y = MatMul(a, w)"), w=random(4, 4))
    assert settled_means_the_same(model, random(3, 4)) == {}
    assert parameters_of(model) == {"w"}


def test_notes_of_two_modules_split_a_merged_tensor_and_name_the_parts() -> None:
    model = two_norms()
    calls = [("p_a_weight p_a_bias", "a"), ("p_f_weight", "f"), ("p_c_weight p_c_bias", "m.c")]
    note(model, calls)
    for name in ("s", "b"):
        model.graph.initializer[name == "b"].name = f"a.{'weight' if name == 's' else 'bias'}"
    for node in model.graph.node:
        node.input[:] = [{"s": "a.weight", "b": "a.bias"}.get(n, n) for n in node.input]
    settled_means_the_same(model, random(3, 4))
    assert parameters_of(model) == {"a.weight", "a.bias", "w", "m.c.weight", "m.c.bias"}


def test_a_tensor_of_one_module_called_twice_is_not_split() -> None:
    model = two_norms()
    note(model, [("p_a_weight p_a_bias", "a"), ("p_f_weight", "f"), ("p_a_weight p_a_bias", "a")])
    assert settled_means_the_same(model, random(3, 4)) == {}
    assert parameters_of(model) == {"s", "b", "w"}


def test_a_copy_behind_identity_is_a_separate_parameter() -> None:
    model = store(model_of("v = Identity(w) a = MatMul(x, w) y = MatMul(a, v)"), w=random(4, 4))
    settled_means_the_same(model, random(3, 4))
    assert parameters_of(model) == {"w", "v"}
    assert not [node for node in model.graph.node if node.op_type == "Identity"]


def test_an_output_layer_that_shares_an_embeddings_table_is_tied_to_it() -> None:
    table = random(5, 4)
    nodes = "i = Cast <to = 7> (x) e = Gather(table, i) y = MatMul(e, head)"
    model = store(model_of(nodes, inputs="float[N] x"), table=table, head=table.T.copy())
    remarks = settled_means_the_same(model, np.array([0, 4, 2], np.float32))
    assert parameters_of(model) == {"table"}
    assert "head" in remarks["table"]


def test_a_table_of_equal_numbers_ties_nothing() -> None:
    nodes = "i = Cast <to = 7> (x) e = Gather(table, i) y = MatMul(e, head)"
    model = store(
        model_of(nodes, inputs="float[N] x"), table=np.zeros((4, 4)), head=np.zeros((4, 4))
    )
    assert settle_copies(model) == {}
    assert parameters_of(model) == {"table", "head"}


def test_a_constant_that_was_merged_with_a_parameter_stays_a_constant() -> None:
    model = model_of("k = Identity(s) a = LayerNormalization(x, s) y = Pow(a, k)")
    store(model, s=np.full(4, 2.0))
    settle_copies(model)
    stored = find_stored(model)
    assert {name: found.is_parameter for name, found in stored.items()} == {"s": True, "k": False}
    assert [tensor.name for tensor in model.graph.initializer] == ["s", "k"]
    np.testing.assert_array_equal(numpy_helper.to_array(model.graph.initializer[1]), [2.0] * 4)


@pytest.mark.parametrize(
    ("nodes", "outputs"), [("y = Gemm <transB = 1> (x, w)", 3), ("y = MatMul(x, w)", 4)]
)
def test_a_bias_that_was_dropped_because_it_is_zero_is_put_back(nodes: str, outputs: int) -> None:
    model = store(model_of(nodes), w=random(3, 4) if outputs == 3 else random(4, 4))
    note(model, [("p_f_weight p_f_bias", "f")])
    remarks = settled_means_the_same(model, random(2, 4))
    assert parameters_of(model) == {"w", "f.bias"}
    assert find_stored(model)["f.bias"].value.shape == (outputs,)
    assert set(remarks) == {"f.bias"}


def test_a_product_that_never_had_a_bias_gets_none() -> None:
    model = store(model_of("y = MatMul(x, w)"), w=random(4, 4))
    note(model, [("p_f_weight", "f")])
    assert settled_means_the_same(model, random(2, 4)) == {}


def test_a_product_that_has_its_bias_gets_no_second_one() -> None:
    model = store(model_of("a = MatMul(x, w) y = Add(a, b)"), w=random(4, 4), b=random(4))
    note(model, [("p_f_weight p_f_bias", "f"), ("p_f_weight p_f_bias", "f")])
    assert settled_means_the_same(model, random(2, 4)) == {}
