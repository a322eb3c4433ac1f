"""Graphs that no engine may get: they read files, run for ever, or need too much memory."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import onnx
import pytest
from onnx import helper

from fedge.artifact.safety import check_graph, check_storage
from fedge.artifact.safety.check import MAX_ELEMENTS, MAX_NODES, MAX_TOTAL, MAX_WORK
from fedge.errors import ArtifactError
from tests.support.checked_graphs import OPSET, elsewhere, integers, model, node, scan


def refusal(made: onnx.ModelProto | bytes, *, is_sized: bool = True) -> str:
    data = made if isinstance(made, bytes) else made.SerializeToString()
    with pytest.raises(ArtifactError) as caught:
        check_graph(data, "train.onnx", is_sized=is_sized)
    assert str(caught.value).startswith("train.onnx, ")
    return str(caught.value)


def passes(made: onnx.ModelProto) -> bool:
    check_graph(made.SerializeToString(), "train.onnx")
    return True


SMALL = model([node("Relu", "x", "y")])


def test_a_graph_of_known_sizes_passes() -> None:
    assert passes(SMALL)


def in_initializer() -> onnx.ModelProto:
    made = model([node("Identity", "w", "y")])
    made.graph.initializer.append(elsewhere())
    return made


def in_attribute() -> onnx.ModelProto:
    return model([node("Constant", "", "y", value=elsewhere())])


def in_list_of_an_attribute() -> onnx.ModelProto:
    made = model([node("Relu", "x", "y")])
    made.graph.node[0].attribute.add(name="z", type=9).tensors.append(elsewhere())
    return made


def in_subgraph() -> onnx.ModelProto:
    return scan(3, body=[node("Constant", "", "w", value=elsewhere()), node("Add", "s r", "s2")])


def in_function() -> onnx.ModelProto:
    made = model([node("Relu", "x", "y")])
    inner = node("Constant", "", "o", value=elsewhere())
    function = helper.make_function("local", "F", [], ["o"], [inner], made.opset_import)
    made.functions.append(function)
    return made


def in_default_of_a_function() -> onnx.ModelProto:
    made = in_function()
    del made.functions[0].node[0].attribute[:]
    made.functions[0].attribute_proto.append(helper.make_attribute("v", elsewhere()))
    return made


def in_sparse_attribute() -> onnx.ModelProto:
    made = model([node("Constant", "", "y")])
    sparse = onnx.SparseTensorProto(dims=[64], values=elsewhere())
    made.graph.node[0].attribute.add(name="sparse_value", type=11).sparse_tensor.CopyFrom(sparse)
    return made


def in_sparse_initializer() -> onnx.ModelProto:
    made = model([node("Relu", "x", "y")])
    made.graph.sparse_initializer.append(onnx.SparseTensorProto(dims=[64], values=elsewhere()))
    return made


def in_graph_for_training() -> onnx.ModelProto:
    made = model([node("Relu", "x", "y")])
    made.training_info.add().algorithm.initializer.append(elsewhere())
    return made


PLACES = [
    *(in_initializer, in_attribute, in_list_of_an_attribute, in_subgraph, in_function),
    *(in_default_of_a_function, in_sparse_attribute, in_sparse_initializer, in_graph_for_training),
]


@pytest.mark.parametrize("place", PLACES)
def test_a_tensor_in_another_file_is_refused_wherever_it_is(
    place: Callable[[], onnx.ModelProto],
) -> None:
    data = place().SerializeToString()
    with pytest.raises(ArtifactError, match=r"another file|sparse|graphs for training"):
        check_storage(data)
    refusal(data)
    refusal(data, is_sized=False)


def test_naming_a_file_is_enough_to_be_refused() -> None:
    made = in_initializer()
    made.graph.initializer[0].data_location = 0
    assert "another file" in refusal(made)
    made = in_initializer()
    del made.graph.initializer[0].external_data[:]
    assert "another file" in refusal(made)


def test_only_operators_of_the_default_domain_are_accepted() -> None:
    assert passes(model([node("Relu", "x", "y", domain="ai.onnx")]))
    for domain in ("com.microsoft", "ai.onnx.ml", "evil\n"):
        said = refusal(model([node("Relu", "x", "y", domain=domain)]))
        assert "default domain" in said
        assert "\n" not in said


def test_functions_of_the_models_own_are_refused() -> None:
    """One in the default domain would replace a standard operator."""
    made = model([node("Relu", "x", "y")])
    body = [node("Neg", "i", "o")]
    made.functions.append(helper.make_function("", "Relu", ["i"], ["o"], body, made.opset_import))
    assert "functions" in refusal(made)


def loop() -> onnx.ModelProto:
    body = helper.make_graph([], "body", [], [])
    stored = {"n": np.array(2**62), "go": np.array([True])}
    return model([node("Loop", "n go", "y", body=body)], stored)


def branch() -> onnx.ModelProto:
    body = helper.make_graph([], "body", [], [])
    return model(
        [node("If", "c", "y", then_branch=body, else_branch=body)], {"c": np.array([True])}
    )


@pytest.mark.parametrize("made", [loop(), branch()])
@pytest.mark.parametrize("is_sized", [True, False])
def test_loops_and_branches_are_refused(made: onnx.ModelProto, *, is_sized: bool) -> None:
    assert "no loops and no branches" in refusal(made, is_sized=is_sized)


def test_a_loop_within_a_scan_is_refused() -> None:
    inner = node("Loop", "- -", "z", body=helper.make_graph([], "b", [], []))
    assert "no loops" in refusal(scan(3, body=[inner, node("Add", "s r", "s2")]))


def test_a_scan_over_a_known_axis_passes_and_costs_one_body_per_element() -> None:
    body = [node("Add", "s r", "s2")]
    assert passes(scan(3, body=body))
    long = MAX_TOTAL // (4 * 3) + 1  # x itself, the state, and what is read a step
    assert "elements" in refusal(scan(long, body=body))
    assert passes(scan(10**6, body=body))


def test_a_scan_whose_state_grows_is_refused() -> None:
    grows = scan(40, body=[node("Concat", "s s", "s2", axis=0)])
    assert "does not keep its shape" in refusal(grows)


def test_a_scan_over_an_open_axis_is_refused() -> None:
    made = scan(3, body=[node("Add", "s r", "s2")])
    made.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "n"
    assert "open sizes" in refusal(made)


HUGE = 2**34  # float32: 64 GiB
BOMBS = {
    "ConstantOfShape": model([node("ConstantOfShape", "n", "y")], {"n": integers(HUGE)}),
    "Expand": model([node("Expand", "x n", "y")], {"n": integers(HUGE // 4, 4)}),
    "Tile": model([node("Tile", "x n", "y")], {"n": integers(HUGE)}),
    "Range": model(
        [node("Range", "a b c", "y")],
        {"a": np.array(0), "b": np.array(HUGE), "c": np.array(1)},
    ),
    "Range of tiny steps": model(
        [node("Range", "a b c", "y")],
        {n: np.array(v, np.float32) for n, v in (("a", 0), ("b", 1), ("c", 1e-30))},
    ),
    "Pad": model([node("Pad", "x n", "y")], {"n": integers(0, HUGE)}),
    "Resize by scales": model(
        [node("Resize", "x - n", "y")], {"n": np.array([2.0**32], np.float32)}
    ),
    "Resize to sizes": model([node("Resize", "x - - n", "y")], {"n": integers(HUGE)}),
    "OneHot": model([node("OneHot", "x n v", "y")], {"n": integers(HUGE), "v": np.zeros(2)}),
    "outer sum": model(
        [node("Reshape", "x n", "c"), node("Expand", "c m", "a"), node("Transpose", "a", "b"),
         node("Expand", "b k", "y")],
        {"n": integers(4, 1), "m": integers(4, 2**17), "k": integers(2**13, 2**17, 4)},
    ),
    "a stored shape of 64 GiB": model([node("Identity", "w", "y")]),
    "many values": model(
        [node("Expand", "x n", f"v{i}") for i in range(9)] + [node("Relu", "v0", "y")],
        {"n": integers(MAX_ELEMENTS // 4, 4)},
    ),
    "TopK": model([node("TopK", "x n", "y i")], {"n": integers(HUGE)}),
    "in a Constant": model(
        [node("Constant", "", "n", value_ints=[HUGE]), node("ConstantOfShape", "n", "y")]
    ),
}  # fmt: skip
BOMBS["a stored shape of 64 GiB"].graph.initializer.add(name="w", data_type=1, dims=[HUGE])


@pytest.mark.parametrize("name", BOMBS)
def test_a_value_too_large_for_memory_is_refused_before_it_is_allocated(name: str) -> None:
    for is_sized in (True, False):
        said = refusal(BOMBS[name], is_sized=is_sized)
        assert "elements" in said or "multiplications" in said


def test_a_value_may_have_the_stated_number_of_elements_and_no_more() -> None:
    shape = {"n": integers(MAX_ELEMENTS)}
    assert passes(model([node("ConstantOfShape", "n", "y")], shape))
    shape = {"n": integers(MAX_ELEMENTS + 1)}
    assert "elements" in refusal(model([node("ConstantOfShape", "n", "y")], shape))


def test_the_work_of_a_run_is_bounded() -> None:
    """A product of n x n matrices takes n^3 multiplications and touches 3 n^2 numbers."""
    n = 2**12

    def chain(length: int) -> onnx.ModelProto:
        names = ["x", *(f"v{i}" for i in range(1, length)), "y"]
        nodes = [node("MatMul", f"{a} x", b) for a, b in pairwise(names)]
        return model(nodes, shape=(n, n))

    most = MAX_WORK // (n**3 + 3 * n**2)
    assert passes(chain(most))
    assert "multiplications" in refusal(chain(most + 1))


@pytest.mark.parametrize(
    "made",
    [
        model([node("Conv", "x x", "y", pads=[15] * 4)], shape=(2**9, 2**9, 32, 32)),
        model(
            [node("AveragePool", "x", "y", kernel_shape=[2**12] * 2, pads=[2**11] * 4)],
            shape=(1, 1, 2**12, 2**12),
        ),
        model([node("Einsum", "x x", "y", equation="ab,cd->")], shape=(2**10, 2**11)),
        model([node("Det", "x", "y")], shape=(2**14, 2**14)),
    ],
)
def test_work_that_sizes_alone_do_not_show_is_counted(made: onnx.ModelProto) -> None:
    assert "multiplications" in refusal(made)


def test_the_number_of_nodes_is_bounded() -> None:
    nodes = [node("Relu", "x", f"v{i}") for i in range(MAX_NODES)]
    assert passes(model(nodes))
    assert "nodes" in refusal(model([*nodes, node("Relu", "x", "y")]))


def test_a_model_of_many_empty_fields_is_refused_early() -> None:
    """ModelProto.graph is field 7, GraphProto.node 1: two bytes per empty node."""
    many = b"\x0a\x00" * 2**20
    size = len(many)
    assert size == 2**21  # as a varint: three times seven bits, then 1
    assert "too many to read" in refusal(b"\x3a\x80\x80\x80\x01" + many)


@pytest.mark.parametrize(
    "inner",
    [
        node("NonZero", "x", "y"),
        node("Unique", "x", "y"),
        node("RandomNormal", "", "y", shape=[4]),
        node("SequenceConstruct", "x x", "y"),
        node("Nobody", "x", "y"),
        node("ConstantOfShape", "x", "y"),
        node("Expand", "x x", "y"),
        node("RoiAlign", "x x x", "y"),
        node("Relu", "nobody", "y"),
    ],
)
def test_an_output_of_unknown_size_is_refused(inner: onnx.NodeProto) -> None:
    assert "known size" in refusal(model([inner]))


def test_an_inference_graph_may_have_open_sizes_and_older_forms() -> None:
    """Unknown sizes are allowed, since no device runs it."""
    made = model([node("Shape", "x", "n"), node("Expand", "x n", "y")], shape=("n", 4), opset=11)
    check_graph(made.SerializeToString(), "infer.onnx", is_sized=False)
    assert "opset" in refusal(made)


def test_a_training_graph_of_another_opset_is_refused() -> None:
    assert "opset" in refusal(model([node("Relu", "x", "y")], opset=OPSET + 1))
    made = model([node("Relu", "x", "y")])
    made.opset_import.append(helper.make_opsetid("ai.onnx", 9))
    assert "opset" in refusal(made)


def test_a_stored_value_that_can_be_overridden_determines_no_size() -> None:
    """A value other than the one checked could be used."""
    made = model([node("Expand", "x n", "y")], {"n": integers(3, 4)})
    assert passes(made)
    made.graph.input.append(helper.make_tensor_value_info("n", onnx.TensorProto.INT64, [2]))
    assert "named once" in refusal(made)


def test_a_name_has_one_meaning() -> None:
    assert "named once" in refusal(model([node("Relu", "x", "y"), node("Neg", "x", "y")]))
    inner = [node("Neg", "r", "zero"), node("Add", "s r", "s2")]
    assert "named once" in refusal(scan(3, body=inner))


def test_fields_that_two_readers_might_read_differently_are_refused() -> None:
    data = SMALL.SerializeToString()
    second = model([node("ConstantOfShape", "n", "y")], {"n": integers(HUGE)}).SerializeToString()
    assert "once" in refusal(data + second)
    made = model([node("Relu", "x", "y")])
    made.graph.node[0].attribute.add(name="a", type=2, i=1, f=2.0)
    assert "one value of its type" in refusal(made)
    made.graph.node[0].attribute[0].CopyFrom(helper.make_attribute("a", 1))
    made.graph.node[0].attribute.append(helper.make_attribute("a", 2))
    assert "once each" in refusal(made)
    assert "field 99" in refusal(data + b"\x98\x06\x01")


@pytest.mark.parametrize("length", range(len(SMALL.SerializeToString())))
def test_a_truncated_graph_is_refused_or_smaller(length: int) -> None:
    with pytest.raises(ArtifactError):
        check_graph(SMALL.SerializeToString()[:length], "train.onnx")


def test_numbers_are_read_as_protobuf_writes_them() -> None:
    """Negative integers take ten bytes; lists may be packed or not."""
    sizes = integers(-1, 2)
    stored = helper.make_tensor("n", onnx.TensorProto.INT64, [2], sizes)  # not raw: packed varints
    made = model([node("Reshape", "x n", "z"), node("Expand", "z m", "y")], {"m": integers(2, 2)})
    made.graph.initializer.append(stored)
    assert passes(made)
