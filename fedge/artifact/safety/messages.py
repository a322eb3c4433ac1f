"""ONNX messages as values, as far as a check needs them. Source: onnx/onnx.proto3."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from fedge.artifact.layout import MAX_RANK
from fedge.artifact.protobuf import Budget, Kind, Message, read
from fedge.errors import ArtifactError

Number: TypeAlias = int | float
Shape: TypeAlias = tuple[int, ...]
Plain: TypeAlias = (
    int | float | bytes | tuple[int, ...] | tuple[float, ...] | tuple[bytes, ...] | None
)

MAX_KNOWN = 1024  # elements of a tensor whose values may decide a size


def _schema(**fields: tuple[int, ...]) -> dict[int, Kind]:
    """The kind of each field number; the keywords are the kinds in lower case."""
    return {number: Kind[kind.upper()] for kind, numbers in fields.items() for number in numbers}


_MODEL = _schema(number=(1, 5), data=(2, 3, 4, 6, 7), datas=(8, 14, 20, 25, 26))
_OPSET = _schema(data=(1,), number=(2,))
_GRAPH = _schema(data=(2, 10), datas=(1, 5, 11, 12, 13, 14, 15, 16))
_NODE = _schema(data=(3, 4, 6, 7, 8), datas=(1, 2, 5, 9, 10))
_ATTRIBUTE = _schema(
    number=(3, 20), real=(2,), data=(1, 4, 5, 6, 13, 14, 21, 22), reals=(7,), numbers=(8,),
    datas=(9, 10, 11, 15, 23),
)  # fmt: skip
_TENSOR = _schema(
    number=(2, 14), data=(3, 8, 9, 12), numbers=(1, 5, 7, 11), reals=(4,), doubles=(10,),
    datas=(6, 13, 16),
)  # fmt: skip
_VALUE = _schema(data=(1, 2, 3), datas=(4,))
_FUNCTION = _schema(data=(1, 8, 10, 13), datas=(4, 5, 6, 7, 9, 11, 12, 14))
_TYPE = _schema(data=(1, 4, 5, 6, 7, 8, 9))
_TENSOR_TYPE = _schema(number=(1,), data=(2,))
_SHAPE = _schema(datas=(1,))
_DIMENSION = _schema(number=(1,), data=(2, 3))

# AttributeProto.AttributeType to the field that holds the value.
_FIELD_OF_TYPE = {1: 2, 2: 3, 3: 4, 4: 5, 5: 6, 6: 7, 7: 8, 8: 9, 9: 10, 10: 11}
_VALUES = (2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 14, 15, 22, 23)
_FLOAT, _INT32, _INT64, _DOUBLE = 1, 6, 7, 11  # of TensorProto.DataType, those that decide sizes
_RAW = {_FLOAT: "<f4", _INT32: "<i4", _INT64: "<i8", _DOUBLE: "<f8"}


@dataclass(frozen=True, slots=True)
class Tensor:
    """A stored tensor, with its values if it is small and its numbers may decide a size."""

    name: str
    shape: Shape
    values: tuple[Number, ...] | None


@dataclass(frozen=True, slots=True)
class Attribute:
    """Exactly one of these is the value."""

    name: str
    value: Plain
    tensor: Tensor | None = None
    graphs: tuple["Graph", ...] = ()


@dataclass(frozen=True, slots=True)
class Node:
    """One operation."""

    name: str
    op_type: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: tuple[Attribute, ...]

    @property
    def title(self) -> str:
        return f"node {self.name or ', '.join(self.outputs)!r} ({self.op_type})"


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes in order; inputs with their shapes, None where a size is open."""

    nodes: tuple[Node, ...]
    tensors: tuple[Tensor, ...]
    inputs: tuple[tuple[str, tuple[int | None, ...] | None], ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Model:
    """The graph, the version of each domain's operators, and nodes of the model's own functions."""

    graph: Graph
    opsets: tuple[tuple[str, int], ...]
    functions: tuple[tuple[Node, ...], ...]


class Reader:
    """Reads one model. No tensor may be sparse or stored in another file.

    Args:
        max_fields: how many may be read in all.
        max_depth: of nested graphs.
    """

    def __init__(self, *, max_fields: int, max_depth: int) -> None:
        self._budget, self._max_depth = Budget(max_fields), max_depth

    def model(self, data: memoryview) -> Model:
        """Raises ArtifactError for anything but a model that contains all its tensors."""
        found = read(data, "ONNX model", _MODEL, self._budget)
        if not found.has(7):
            raise ArtifactError("ONNX model", expected="a graph", found="none")
        if found.has(20):
            raise ArtifactError("ONNX model", expected="one graph", found="graphs for training")
        opsets = [read(one, "opset", _OPSET, self._budget) for one in found.datas(8)]
        return Model(
            graph=self._graph(found.data(7), 0),
            opsets=tuple((one.text(1), one.number(2)) for one in opsets),
            functions=tuple(map(self._function, found.datas(25))),
        )

    def _function(self, data: memoryview) -> tuple[Node, ...]:
        found = read(data, "function", _FUNCTION, self._budget)
        for one in found.datas(11):
            self._attribute(one, "function", 0)
        return tuple(self._node(one, 0) for one in found.datas(7))

    def _graph(self, data: memoryview, depth: int) -> Graph:
        if depth > self._max_depth:
            expected = f"graphs in graphs {self._max_depth} deep"
            raise ArtifactError("ONNX model", expected=expected, found="deeper ones")
        found = read(data, "graph", _GRAPH, self._budget)
        if found.has(15):
            raise ArtifactError("tensors", expected="dense ones", found="a sparse initializer")
        return Graph(
            nodes=tuple(self._node(one, depth) for one in found.datas(1)),
            tensors=tuple(map(self._tensor, found.datas(5))),
            inputs=tuple(map(self._input, found.datas(11))),
            outputs=tuple(self._value(one).text(1) for one in found.datas(12)),
        )

    def _node(self, data: memoryview, depth: int) -> Node:
        found = read(data, "node", _NODE, self._budget)
        op_type, name = found.text(4), found.text(3)
        title = f"node {name!r} ({op_type})"
        return Node(
            name=name,
            op_type=op_type,
            domain=found.text(7),
            inputs=found.texts(1),
            outputs=found.texts(2),
            attributes=tuple(self._attribute(one, title, depth) for one in found.datas(5)),
        )

    def _attribute(self, data: memoryview, title: str, depth: int) -> Attribute:
        found = read(data, f"attribute of {title}", _ATTRIBUTE, self._budget)
        name = found.text(1)
        present = [number for number in _VALUES if found.has(number)]
        field = _FIELD_OF_TYPE.get(found.number(20)) if found.has(20) else None
        if 22 in present or 23 in present:
            raise ArtifactError(
                f"{name} of {title}", expected="dense tensors", found="a sparse one"
            )
        if len(present) > 1 or (found.has(20) and present and present != [field]):
            what = f"attribute {name!r} of {title}"
            raise ArtifactError(what, expected="one value of its type", found="another")
        field = present[0] if present else field
        for tensor in found.datas(10):
            self._tensor(tensor)
        graphs = [found.data(6)] if found.has(6) else found.datas(11)
        return Attribute(
            name,
            _plain(found, field),
            self._tensor(found.data(5)) if found.has(5) else None,
            tuple(self._graph(one, depth + 1) for one in graphs),
        )

    def _tensor(self, data: memoryview) -> Tensor:
        found = read(data, "tensor", _TENSOR, self._budget)
        name = found.text(8)
        if found.number(14) or found.has(13):
            what = f"tensor {name!r}"
            raise ArtifactError(what, expected="its values inside the model", found="another file")
        shape = found.numbers(1)
        if len(shape) > MAX_RANK or min(shape, default=0) < 0 or found.has(3):
            raise ArtifactError(f"shape of tensor {name!r}", expected="sizes", found=shape[:20])
        return Tensor(name, shape, _small_values(found, math.prod(shape)))

    def _value(self, data: memoryview) -> Message:
        return read(data, "value", _VALUE, self._budget)

    def _input(self, data: memoryview) -> tuple[str, tuple[int | None, ...] | None]:
        found = self._value(data)
        kind = read(found.data(2), "type", _TYPE, self._budget)
        if not kind.has(1):
            return found.text(1), None
        tensor = read(kind.data(1), "type", _TENSOR_TYPE, self._budget)
        if not tensor.has(2):
            return found.text(1), None
        shape = read(tensor.data(2), "shape", _SHAPE, self._budget)
        sizes = [read(one, "size", _DIMENSION, self._budget) for one in shape.datas(1)]
        return found.text(1), tuple(one.number(1) if one.has(1) else None for one in sizes)


def _plain(found: Message, field: int | None) -> Plain:
    """An attribute's value, if it is neither a tensor nor a graph."""
    readers: dict[int, Callable[[int], Plain]] = {
        2: found.real,
        3: found.number,
        4: lambda number: bytes(found.data(number)),
        7: found.reals,
        8: found.numbers,
        9: lambda number: tuple(map(bytes, found.datas(number))),
    }
    return readers[field](field) if field in readers else None


def _small_values(found: Message, size: int) -> tuple[Number, ...] | None:
    kind = found.number(2)
    if size > MAX_KNOWN or kind not in _RAW:
        return None
    values: tuple[Number, ...]
    if found.has(9):
        raw = found.data(9)
        layout = np.dtype(_RAW[kind])
        if len(raw) != size * layout.itemsize:
            return None
        values = tuple(np.frombuffer(raw, layout).tolist())
    elif kind == _FLOAT:
        values = found.reals(4)
    elif kind == _DOUBLE:
        values = found.reals(10)
    else:
        values = found.numbers(5 if kind == _INT32 else 7)
    return values if len(values) == size else None
