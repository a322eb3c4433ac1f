"""A graph of ONNX nodes under construction: every shape known, no node twice."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import onnx
from onnx import helper

from fedge.autodiff.infer import (
    Attributes,
    NotEvaluatedError,
    Tensor,
    default_attributes,
    evaluate,
    infer_outputs,
    schema,
)
from fedge.types import Array

Name = str


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """One operation. Its attributes are complete, defaults included."""

    op_type: str
    inputs: tuple[Name, ...]  # "" for an omitted optional input
    outputs: tuple[Name, ...]
    attributes: Attributes
    wanted: tuple[bool, ...] = ()  # which inputs need a gradient; set by the reverse sweep

    def needs(self, index: int) -> bool:
        """Whether the input at this index is present and needs a gradient."""
        return index < len(self.wanted) and self.wanted[index]

    def to_proto(self) -> onnx.NodeProto:
        return helper.make_node(self.op_type, self.inputs, self.outputs, **self.attributes)


class Graph:
    """Nodes in topological order, with the type and shape of every value.

    `op` is the only way to add a node. It infers the output's shape at once,
    evaluates a node whose inputs are constants, and returns the earlier result
    if the same operation was added before.
    """

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.tensors: dict[Name, Tensor] = {}
        self.constants: dict[Name, Array] = {}
        self.origins: dict[Name, str] = {}  # the user's node behind an output, for messages
        self._known: dict[Any, tuple[Name, ...]] = {}

    def add_input(self, name: Name, tensor: Tensor) -> Name:
        """A value fed in from outside: data, target or parameter."""
        if name in self.tensors:
            raise ValueError(f"two inputs are called {name!r}")
        self.tensors[name] = tensor
        return name

    def constant(self, value: Array) -> Name:
        """A constant tensor; equal ones share a name."""
        # Not ascontiguousarray, which turns a scalar into a vector.
        value = np.asarray(value, order="C")
        key = ("constant", value.dtype.str, value.shape, value.tobytes())
        if key not in self._known:
            self._known[key] = (self._new("constant", Tensor(value.dtype, value.shape)),)
            self.constants[self._known[key][0]] = value
        return self._known[key][0]

    def scalar(self, value: float, *, like: Name) -> Name:
        """A constant scalar with the element type of another value."""
        return self.constant(np.asarray(value, self.tensors[like].dtype))

    def ints(self, values: Iterable[int]) -> Name:
        """A constant int64 vector, for axes and shapes."""
        return self.constant(np.asarray(list(values), np.int64))

    def zeros(self, shape: Sequence[int], *, like: Name) -> Name:
        """Zeros of a shape, with the element type of another value."""
        zero = self.scalar(0, like=like)
        return self.op("Expand", zero, self.ints(shape), fold=False) if shape else zero

    def op(self, op_type: str, *inputs: Name, fold: bool = True, **attributes: Any) -> Name:
        """Adds a node with one output and returns the output's name.

        Raises:
            ValueError: if the operator does not accept these inputs or attributes,
                or the output's shape is not static.
        """
        return self.ops(1, op_type, *inputs, fold=fold, **attributes)[0]

    def ops(
        self,
        n_outputs: int,
        op_type: str,
        *inputs: Name,
        fold: bool = True,
        **attributes: Any,
    ) -> tuple[Name, ...]:
        """The same for a node with several outputs."""
        full = _complete(op_type, attributes)
        key = (op_type, n_outputs, inputs, tuple((k, _hashable(full[k])) for k in sorted(full)))
        if key not in self._known:
            self._known[key] = self._emit(n_outputs, op_type, inputs, full, fold=fold)
        return self._known[key]

    def shape(self, name: Name) -> tuple[int, ...]:
        return self.tensors[name].shape

    def rank(self, name: Name) -> int:
        return len(self.tensors[name].shape)

    def size(self, name: Name) -> int:
        return prod(self.tensors[name].shape)

    def integers(self, name: Name) -> tuple[int, ...]:
        """The values of an integer constant; ValueError if it depends on data."""
        if name not in self.constants:
            raise ValueError("an axis, shape or index that must be constant depends on data")
        return tuple(int(value) for value in self.constants[name].reshape(-1))

    def reshape(self, x: Name, shape: Sequence[int]) -> Name:
        if self.shape(x) == tuple(shape):
            return x
        return self.op("Reshape", x, self.ints(shape))

    def transpose(self, x: Name, perm: Sequence[int]) -> Name:
        if list(perm) == list(range(len(perm))):
            return x
        return self.op("Transpose", x, perm=[int(axis) for axis in perm])

    def expand(self, x: Name, shape: Sequence[int]) -> Name:
        if self.shape(x) == tuple(shape):
            return x
        return self.op("Expand", x, self.ints(shape))

    def sum(self, x: Name, axes: Iterable[int], *, keepdims: bool = False) -> Name:
        axes = [int(axis) for axis in axes]
        if not axes:
            return x
        return self.op("ReduceSum", x, self.ints(axes), keepdims=int(keepdims))

    def mask(self, condition: Name, *, like: Name) -> Name:
        """1 where a condition holds, else 0: multiplying by it beats Where in onnxruntime."""
        return self.op("Cast", condition, to=element_type(self.tensors[like].dtype))

    def unbroadcast(self, dy: Name, *, like: Name) -> Name:
        """Sums a gradient over the axes along which a value was broadcast."""
        shape, full = self.shape(like), self.shape(dy)
        lead = len(full) - len(shape)
        repeated = [lead + i for i, size in enumerate(shape) if size == 1 != full[lead + i]]
        summed = self.sum(dy, [*range(lead), *repeated], keepdims=bool(repeated))
        return self.reshape(summed, shape)

    def _new(self, hint: str, tensor: Tensor) -> Name:
        name = f"{hint}.{len(self.tensors)}"
        while name in self.tensors:
            name += "_"
        self.tensors[name] = tensor
        return name

    def _emit(
        self,
        n_outputs: int,
        op_type: str,
        inputs: tuple[Name, ...],
        full: Attributes,
        *,
        fold: bool,
    ) -> tuple[Name, ...]:
        local = Node(op_type, inputs, tuple(f"output.{i}" for i in range(n_outputs)), full)
        proto = local.to_proto()
        found = infer_outputs(proto, self.tensors, self.constants)
        given = [name for name in inputs if name]
        if fold and given and all(name in self.constants for name in given):
            with suppress(NotEvaluatedError):  # then it stays a node, left to the runtime
                values = evaluate(proto, {name: self.constants[name] for name in given}, found)
                return tuple(self.constant(value) for value in values)
        outputs = tuple(self._new(op_type, tensor) for tensor in found)
        self.nodes.append(Node(op_type, inputs, outputs, full))
        return outputs


def element_type(dtype: np.dtype[Any]) -> int:
    """ONNX's number for an element type."""
    return int(helper.np_dtype_to_tensor_dtype(dtype))


def _complete(op_type: str, attributes: Mapping[str, Any]) -> dict[str, Any]:
    unknown = attributes.keys() - schema(op_type).attributes.keys()
    if unknown:
        raise ValueError(f"unknown attribute {min(unknown)!r}")
    return {**default_attributes(op_type), **attributes}


def _hashable(value: object) -> object:
    if isinstance(value, onnx.TensorProto):
        return value.SerializeToString(deterministic=True)
    return tuple(value) if isinstance(value, list) else value
