"""Operators of older and newer opsets compute in the graph what onnxruntime computes."""

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedge.autodiff import to_model, trace
from fedge.errors import ModelError
from tests.support.onnx_runs import run_onnxruntime
from tests.support.traced_models import assert_same_meaning, model_of, random, store

IMAGE = "float[N, 2, 6, 7] x"


@pytest.mark.parametrize(
    ("opset", "node"),
    [
        (9, "y = Upsample <mode = \"nearest\"> (x, s)"),
        (9, "y = Upsample <mode = \"linear\"> (x, s)"),
        (10, "y = Resize <mode = \"nearest\"> (x, s)"),
        (10, "y = Resize <mode = \"linear\"> (x, s)"),
        (10, "y = Resize <mode = \"nearest\"> (x, half)"),
        (10, "y = Resize <mode = \"linear\"> (x, half)"),
        (11, "y = Hardmax(x)"),
        (11, "y = Hardmax <axis = 2> (x)"),
        (13, "y = Hardmax <axis = 2> (x)"),
        (18, "y = Slice(x, first, last, , steps)"),
        (20, "y = Gelu(x)"),
        (20, "y = Gelu <approximate = \"tanh\"> (x)"),
        (21, "y = GroupNormalization <num_groups = 2> (x, scale, bias)"),
        (22, "y = Mish(x)"),
        (17, "y = InstanceNormalization(x, scale, bias)"),
    ],
)  # fmt: skip
def test_a_canonical_form_computes_what_its_operator_does(opset: int, node: str) -> None:
    model = model_of(node, inputs=IMAGE, outputs="float[N, C, H, W] y", opset=opset)
    store(
        model, s=np.array([1, 1, 2, 3.0]), half=np.array([1, 1, 0.5, 0.5]), scale=random(2),
        bias=random(2), first=np.array([0, 0, 1]), last=np.array([9, 9, 6]),
        steps=np.array([1, 1, 2]),
    )  # fmt: skip
    assert_same_meaning(model, random(3, 2, 6, 7))


def test_an_operator_without_any_definition_is_refused_with_a_remedy() -> None:
    model = model_of("y = StringConcat(x, x)", opset=20)
    with pytest.raises(ModelError, match="no operator StringConcat; export with opset"):
        trace(model, batch_size=2)


def test_constants_are_gathered_where_onnxs_reference_fails() -> None:
    model = model_of("t = GatherElements <axis = 1> (d, i) f = Cast <to = 1> (t) y = Add(x, f)")
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 3
    store(model, d=np.arange(8).reshape(1, 8), i=np.array([[5, 0, 5]]))
    traced = trace(model, batch_size=1)
    forward = to_model(traced.graph, traced.inputs, {"y": traced.outputs[0]})
    (got,) = run_onnxruntime(forward, {"x": np.zeros((1, 3), np.float32)})
    np.testing.assert_array_equal(got, [[5, 0, 5]])


@settings(max_examples=60, deadline=None)
@given(
    size=st.integers(1, 9), kernel=st.integers(1, 3), stride=st.integers(1, 4),
    dilation=st.integers(1, 2), before=st.integers(0, 1), after=st.integers(0, 1),
)  # fmt: skip
def test_a_pool_that_rounds_up_has_the_windows_onnxruntime_gives_it(
    size: int, kernel: int, stride: int, dilation: int, before: int, after: int
) -> None:
    reach = (kernel - 1) * dilation + 1
    if reach > size + before + after or max(before, after) >= kernel:
        return
    node = (
        f"y = MaxPool <kernel_shape = [{kernel}], strides = [{stride}], ceil_mode = 1,"
        f" dilations = [{dilation}], pads = [{before}, {after}]> (x)"
    )
    model = model_of(node, inputs=f"float[N, 1, {size}] x", outputs="float[N, C, L] y", opset=18)
    if dilation == 1:
        assert_same_meaning(model, random(2, 1, size))
    else:
        with suppress(ModelError):  # a window may reach further than onnxruntime pads
            assert_same_meaning(model, random(2, 1, size))
