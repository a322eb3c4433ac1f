"""Rewrites linear models in ONNX's classical operators (ai.onnx.ml) as standard operators.

scikit-learn's converter writes logistic regression as LinearClassifier and Normalizer, linear
regression as LinearRegressor, and StandardScaler as Scaler. Here they become Gemm, Softmax and
the like, which have gradients and run on every device. Operators that have no form here stay, and
are refused by name later.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from fedge.autodiff.infer import attribute_value
from fedge.builder.protos import replace_items
from fedge.types import Array

DOMAIN = "ai.onnx.ml"
_TINY = 1e-30  # what a row of zeros is divided by
_AXES_ARE_INPUTS = 18  # in norms, from this opset on

_Nodes = list[onnx.NodeProto]


@dataclass(slots=True)
class _Writer:
    """The replacement of one classical node, under construction."""

    node: onnx.NodeProto
    opset: int
    is_of_softmax: bool  # whether its input already sums to one
    tensors: list[onnx.TensorProto] = field(default_factory=list)
    constants: dict[str, str] = field(default_factory=dict)

    def given(self, name: str, default: object = None) -> object:
        return next((attribute_value(a) for a in self.node.attribute if a.name == name), default)

    def numbers(self, name: str) -> Array:
        return np.asarray(self.given(name, ()), np.float32)

    def text(self, name: str) -> str:
        value = self.given(name, "NONE")
        return value.decode() if isinstance(value, bytes) else str(value)

    def learned(self, suffix: str, value: Array) -> str:
        name = f"{self.node.name or self.node.output[-1]}.{suffix}"
        self.tensors.append(numpy_helper.from_array(value, name))
        return name

    def constant(self, suffix: str, value: Array) -> str:
        name = self.learned(suffix, value)
        self.constants[name] = f"a number of {self.node.op_type}"
        return name

    def op(self, op_type: str, inputs: list[str], result: str, **settings: Any) -> onnx.NodeProto:
        name = f"{self.node.name or result}.{op_type}"
        return helper.make_node(op_type, inputs, [result], name=name, **settings)


def rewrite_classical(model: onnx.ModelProto) -> dict[str, str]:
    """Replaces classical nodes with standard ones that compute the same; changes the model.

    Returns:
        Why these new tensors are not parameters, by name.
    """
    opset = max(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))
    nodes: list[onnx.NodeProto] = []
    constants: dict[str, str] = {}
    softmaxes: set[str] = set()
    for node in model.graph.node:
        writer = _Writer(node, opset, is_of_softmax=softmaxes.issuperset(node.input[:1]))
        form = _FORMS.get(node.op_type) if node.domain == DOMAIN else None
        made = (form(writer) if form else None) or [node]
        nodes.extend(made)
        model.graph.initializer.extend(writer.tensors)
        constants |= writer.constants
        softmaxes.update(name for each in made if _sums_to_one(each) for name in each.output)
    if any(node.domain == DOMAIN for node in model.graph.node):
        replace_items(model.graph.node, nodes)
    if all(node.domain != DOMAIN for node in model.graph.node):
        replace_items(model.opset_import, [o for o in model.opset_import if o.domain != DOMAIN])
    return constants


def _sums_to_one(node: onnx.NodeProto) -> bool:
    return node.op_type == "Softmax" and node.domain in ("", "ai.onnx")


def _linear(w: _Writer, x: str, coefficients: Array, intercepts: Array, result: str) -> _Nodes:
    """y = x a^T + b, one row of coefficients and one intercept per result."""
    inputs = [x, w.learned("weight", coefficients.reshape(len(intercepts), -1))]
    return [w.op("Gemm", [*inputs, w.learned("bias", intercepts)], result, transB=1)]


def _classifier(w: _Writer) -> _Nodes | None:
    """Scores of the classes; the label is left out, since training does not need it."""
    a, b = w.numbers("coefficients"), w.numbers("intercepts")
    x, (_, result) = w.node.input[0], w.node.output
    rows = a.reshape(len(b), -1)
    match w.text("post_transform"):
        case "NONE":
            return _linear(w, x, a, b, result)
        case "LOGISTIC" if len(b) == 2 and not (rows[0] + rows[1]).any() and not b.sum():
            # Of two opposite scores -s and s; (sigmoid(-s), sigmoid(s)) = softmax(-s/2, s/2).
            last, a, b = "Softmax", a / 2, b / 2
        case "LOGISTIC":
            last = "Sigmoid"
        case "SOFTMAX":
            last = "Softmax"
        case _:
            return None
    scores = f"{result}.scores"
    settings = {"axis": 1} if last == "Softmax" else {}
    return [*_linear(w, x, a, b, scores), w.op(last, [scores], result, **settings)]


def _regressor(w: _Writer) -> _Nodes | None:
    a, b = w.numbers("coefficients"), w.numbers("intercepts")
    if w.text("post_transform") != "NONE" or not len(b):
        return None
    return _linear(w, w.node.input[0], a, b, w.node.output[0])


def _scaler(w: _Writer) -> _Nodes:
    """y = (x - offset) * scale."""
    (x,), (result,) = w.node.input, w.node.output
    centred = f"{result}.centred"
    return [
        w.op("Sub", [x, w.constant("offset", w.numbers("offset"))], centred),
        w.op("Mul", [centred, w.constant("scale", w.numbers("scale"))], result),
    ]


def _normalizer(w: _Writer) -> _Nodes | None:
    """y = x / norm of its row; rows of zeros and distributions stay as they are."""
    (x,), (result,) = w.node.input, w.node.output
    norm = {"L1": "ReduceL1", "L2": "ReduceL2"}.get(w.text("norm"))
    if norm == "ReduceL1" and w.is_of_softmax:
        return [w.op("Identity", [x], result)]
    if norm is None:
        return None
    size, divisor = f"{result}.norm", f"{result}.divisor"
    if w.opset < _AXES_ARE_INPUTS:
        length = w.op(norm, [x], size, axes=[1], keepdims=1)
    else:
        axes = w.constant("axes", np.array([1], np.int64))
        length = w.op(norm, [x, axes], size, keepdims=1)
    tiny = w.constant("tiny", np.array([_TINY], np.float32))
    return [length, w.op("Max", [size, tiny], divisor), w.op("Div", [x, divisor], result)]


_FORMS: dict[str, Callable[[_Writer], _Nodes | None]] = {
    "LinearClassifier": _classifier,
    "LinearRegressor": _regressor,
    "Scaler": _scaler,
    "Normalizer": _normalizer,
}

CLASSICAL = frozenset((DOMAIN, op_type) for op_type in _FORMS)
"""Domain and name of the operators that `rewrite_classical` knows."""
