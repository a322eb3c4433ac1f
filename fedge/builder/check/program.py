"""A graph run node by node in NumPy, so that a change reruns only what depends on it."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from fedge.errors import ArtifactError, TrainingError
from fedge.training.engines.protocol import first_line
from fedge.training.engines.reference import operators
from fedge.types import Array

Values = Mapping[str, Array]


class Erf(OpRun):
    """erf x; onnx's own rounds its result to float32."""

    op_domain = ""

    def _run(self, x: Array) -> tuple[Array]:
        return (np.vectorize(math.erf, otypes=[x.dtype])(x),)


class Program:
    """The nodes of a model, each on onnx's reference or on an operator of our own.

    Raises:
        ArtifactError: if onnx's reference does not know a node's operator.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        ours: list[type[OpRun]] = [*operators(model), Erf]
        self._nodes = [_Node(node, model.opset_import, ours) for node in model.graph.node]
        self._constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
        self._outputs = [value.name for value in model.graph.output]
        self._last = {name: i for i, node in enumerate(self._nodes) for name in node.inputs}

    def outputs(self, feeds: Values) -> dict[str, Array]:
        """The graph's outputs; values that no later node reads are freed along the way."""
        values = self._constants | dict(feeds)
        for i, node in enumerate(self._nodes):
            values |= node.run(values)
            for name in node.inputs:
                if self._last[name] == i and name not in self._outputs:
                    values.pop(name, None)
        return {name: values[name] for name in self._outputs}

    def values(self, feeds: Values) -> dict[str, Array]:
        """Every value of the graph."""
        values = self._constants | dict(feeds)
        for node in self._nodes:
            values |= node.run(values)
        return values

    def rerun(self, values: Values, changed: Values, output: str) -> Array:
        """One output with some feeds changed, given all values before the change."""
        found = dict(changed)
        for node in self._nodes:
            if not found.keys().isdisjoint(node.inputs):
                found |= node.run({n: found[n] if n in found else values[n] for n in node.inputs})
        return found.get(output, values[output])


class _Node:
    """One node as a model of its own."""

    def __init__(self, node: NodeProto, opsets: Any, ours: list[type[OpRun]]) -> None:
        self.inputs = sorted(_read(node))
        self._outputs = [name for name in node.output if name]
        self._what = f"node {node.name or node.output[0]!r} ({node.op_type})"
        graph = helper.make_graph(
            [node],
            "node",
            [helper.make_value_info(name, onnx.TypeProto()) for name in self.inputs],
            [helper.make_value_info(name, onnx.TypeProto()) for name in self._outputs],
        )
        model = helper.make_model(graph, opset_imports=opsets)
        mine = [each for each in ours if each.__name__ == node.op_type]
        try:
            self._evaluator = ReferenceEvaluator(model, new_ops=mine)
        except Exception as error:  # its exceptions share no narrower base class
            raise ArtifactError(
                self._what, expected="an operator onnx's reference knows", found=first_line(error)
            ) from None

    def run(self, values: Values) -> dict[str, Array]:
        try:
            with np.errstate(all="ignore"):
                found = self._evaluator.run(None, {name: values[name] for name in self.inputs})
        except Exception as error:  # as above
            raise TrainingError(f"{self._what} failed in float64: {first_line(error)}") from None
        return dict(zip(self._outputs, map(np.asarray, found), strict=True))


def _read(node: NodeProto) -> set[str]:
    """The names a node reads, including its subgraphs' outer values."""
    names = {name for name in node.input if name}
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            names |= _outer(attribute.g)
    return names


def _outer(graph: onnx.GraphProto) -> set[str]:
    own = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
    read = {value.name for value in graph.output}
    for node in graph.node:
        read |= _read(node)
        own |= set(node.output)
    return read - own
