"""A rule that divides the gradient of tied values wrongly is right on all other values."""

import numpy as np
import onnx
import pytest
from onnx import parser

from fedge.artifact import Artifact, InputSpec, Manifest, TargetSpec, arrange
from fedge.builder import check_artifact

HEAD = '<ir_version: 8, opset_import: ["": 18]>'
BATCH = 6
INPUTS = f"float[{BATCH}, 1, 4, 4] x, float[{BATCH}, 1, 2, 2] fedge_target"
FORWARD = """
    z = Add (x, b)
    y = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (z)
    d = Sub (y, fedge_target)
    d2 = Mul (d, d)
    axes = Constant <value_ints = [1, 2, 3]> ()
    fedge_losses = ReduceMean <keepdims = 0> (d2, axes)
"""
# dy goes to every element that equals its window's largest: each gets all of it, or a share.
BACKWARD = """
    column_shape = Constant <value_ints = [-1, 1, 1, 1]> ()
    column = Reshape (fedge_weight, column_shape)
    half = Constant <value_float = 0.5> ()
    dm = Mul (d, half)
    dy = Mul (dm, column)
    twice = Constant <value_floats = [1.0, 1.0, 2.0, 2.0]> ()
    tops = Resize <mode = "nearest", coordinate_transformation_mode = "asymmetric",
        nearest_mode = "floor"> (y, , twice)
    is_top = Equal (z, tops)
    top = Cast <to = 1> (is_top)
    mean = AveragePool <kernel_shape = [2, 2], strides = [2, 2]> (top)
    four = Constant <value_float = 4.0> ()
    count = Mul (mean, four)
    share = {share}
    shares = Resize <mode = "nearest", coordinate_transformation_mode = "asymmetric",
        nearest_mode = "floor"> (share, , twice)
    dz = Mul (shares, top)
    total = ReduceSum <keepdims = 0> (dz)
    one = Constant <value_ints = [1]> ()
    fedge_grad_b = Reshape (total, one)
    weighted = Mul (fedge_losses, fedge_weight)
    fedge_loss = ReduceSum <keepdims = 0> (weighted)
"""


def graph(text: str) -> bytes:
    """ONNX's text form does not allow dots in names."""
    model = parser.parse_model(text)
    names = {"fedge_" + each: "fedge." + each for each in ("target", "weight", "losses", "loss")}
    names |= {"fedge_grad_b": "fedge.grad.b", "y": "fedge.output"}
    for node in model.graph.node:
        node.input[:] = [names.get(each, each) for each in node.input]
        node.output[:] = [names.get(each, each) for each in node.output]
    for value in (*model.graph.input, *model.graph.output):
        value.name = names.get(value.name, value.name)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def pooled(share: str) -> Artifact:
    """y = MaxPool(x + b): dL/db is the sum of all dy, whatever ties."""
    layout = arrange([("b", (1,), True, "bias")])
    image, target = (1, 4, 4), (1, 2, 2)
    manifest = Manifest(
        batch_size=BATCH,
        loss="mse",
        opset=18,
        inputs=(InputSpec(name="x", dtype="float32", shape=image),),
        target=TargetSpec(dtype="float32", shape=target, n_classes=None),
        layout=layout,
    )
    scores = f"float[{BATCH}, 1, 2, 2] y"
    evaluate = f"{HEAD} e ({INPUTS}, float[1] b) => (float[{BATCH}] fedge_losses, {scores}) "
    train = f"{HEAD} t ({INPUTS}, float[{BATCH}] fedge_weight, float[1] b) => "
    train += "(float fedge_loss, float[1] fedge_grad_b) "
    infer = f"{HEAD} i (float[N, 1, 4, 4] x, float[1] b) => (float[N, 1, 2, 2] y) "
    return Artifact(
        manifest,
        graph(f"{train} {{ {FORWARD} {BACKWARD.format(share=share)} }}"),
        graph(f"{evaluate} {{ {FORWARD} }}"),
        graph(f"{infer} {{ {' '.join(FORWARD.splitlines()[1:3])} }}"),
        np.array([0.25], np.float32),
    )


@pytest.mark.parametrize("seed", range(3))
def test_shares_that_sum_to_one_pass(seed: int) -> None:
    assert check_artifact(pooled("Div (dy, count)"), seed=seed).is_right


@pytest.mark.parametrize("seed", range(3))
def test_a_rule_that_gives_every_tied_element_the_whole_gradient_is_found(seed: int) -> None:
    """dL/db is 4 times too large if the window is constant, and right on random images."""
    report = check_artifact(pooled("Identity (dy)"), seed=seed)
    assert [slot.verdict for slot in report.slots] == ["wrong"]
