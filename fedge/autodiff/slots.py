"""What an operator does with a tensor at each of its inputs, which is what marks a parameter."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import onnx

Purpose = Literal["weight", "bias", "statistic", "arithmetic", "setting"]
"""What an input is for.

weight, bias: learned, whatever the model's origin. statistic: running means and variances.
arithmetic: may be learned or hand-written. setting: chosen with the architecture.
"""

_PURPOSES: dict[str, dict[int, Purpose]] = {
    "Conv": {1: "weight", 2: "bias"},
    "ConvTranspose": {1: "weight", 2: "bias"},
    "Gemm": {0: "weight", 1: "weight", 2: "bias"},
    "MatMul": {0: "weight", 1: "weight"},
    "Gather": {0: "weight"},
    "GatherElements": {0: "weight"},
    "GatherND": {0: "weight"},
    "BatchNormalization": {1: "weight", 2: "bias", 3: "statistic", 4: "statistic"},
    "LayerNormalization": {1: "weight", 2: "bias"},
    "InstanceNormalization": {1: "weight", 2: "bias"},
    "GroupNormalization": {1: "weight", 2: "bias"},
    "RMSNormalization": {1: "weight"},
    "PRelu": {1: "weight"},
    "RNN": {1: "weight", 2: "weight", 3: "bias"},
    "GRU": {1: "weight", 2: "weight", 3: "bias"},
    "LSTM": {1: "weight", 2: "weight", 3: "bias", 7: "weight"},
    "Pow": {0: "arithmetic"},
    "Where": {1: "arithmetic", 2: "arithmetic"},
}
# All inputs of these may be learned, however many there are.
_ARITHMETIC = ("Add", "Sub", "Mul", "Div", "Sum", "Mean", "Concat", "Max", "Min")
_WEIGHING = ("Einsum",)
# What a parameter may pass through, alone, before an operator computes with it.
_THROUGH = (
    *("Identity", "Cast", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze"),
    *("Expand", "Tile", "Slice", "Split", "Exp", "Log", "Neg", "Abs", "Sqrt", "Reciprocal"),
    *("Sigmoid", "Softplus", "Tanh", "Relu", "Softmax", "LogSoftmax"),
    *("ReduceSum", "ReduceMean", "ReduceL2", "ReduceMax"),
)


@dataclass(frozen=True, slots=True)
class Use:
    """One input of one node that a tensor reaches."""

    node: onnx.NodeProto
    index: int

    @property
    def purpose(self) -> Purpose:
        """What the operator uses it for; for an operator not in the table it is a setting."""
        if self.node.op_type in _ARITHMETIC:
            return "arithmetic"
        if self.node.op_type in _WEIGHING:
            return "weight"
        inputs = _PURPOSES.get(self.node.op_type)
        if inputs is None:
            return "setting"
        return inputs.get(self.index, "setting" if self.index else "arithmetic")

    @property
    def others(self) -> Iterator[str]:
        """The node's other inputs."""
        return (name for i, name in enumerate(self.node.input) if i != self.index)


def find_uses(model: onnx.ModelProto) -> dict[str, list[Use]]:
    """Where each value ends up: its uses after reshapes and functions of it alone."""
    stored = _stored(model)
    uses: dict[str, list[Use]] = {}
    for node in reversed(model.graph.node):
        joins = node.op_type == "Concat" and stored.issuperset(node.input)
        for index, name in enumerate(node.input):
            found = uses.setdefault(name, [])
            if joins or (node.op_type in _THROUGH and index == 0):
                found[:0] = [use for output in node.output for use in uses.get(output, [])]
            else:
                found.insert(0, Use(node, index))
    return uses


def raw_inputs(model: onnx.ModelProto) -> set[str]:
    """The model's data inputs, also after reshapes, casts and arithmetic with stored tensors.

    A tensor that is subtracted from one of these, or divides one, standardises the examples.
    """
    stored = _stored(model)
    raw = {info.name for info in model.graph.input} - stored
    for node in model.graph.node:
        through = node.op_type in _THROUGH and node.input[0] in raw
        scaled = node.op_type in ("Sub", "Div", "Mul", "Add") and raw & set(node.input)
        if through or (scaled and set(node.input) <= raw | stored):
            raw.update(node.output)
    return raw


def _stored(model: onnx.ModelProto) -> set[str]:
    """The model's tensors, and what reshapes and functions of these alone produce."""
    stored = {tensor.name for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type in (*_THROUGH, "Concat", "Constant") and stored.issuperset(node.input):
            stored.update(node.output)
    return stored
