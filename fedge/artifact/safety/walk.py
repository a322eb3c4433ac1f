"""Walks through a graph in order and determines the size of every value."""

import math
from dataclasses import dataclass

from fedge.artifact.layout import MAX_RANK
from fedge.artifact.safety import sizes
from fedge.artifact.safety.messages import MAX_KNOWN, Graph, Node, Number, Shape
from fedge.artifact.safety.sizes import Call, UnsizedError
from fedge.errors import ArtifactError


@dataclass(frozen=True, slots=True)
class Limits:
    """Most elements of one value and of all values of a run, and most work of a run."""

    elements: int
    total: int
    work: int


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known about a value; shape None if unknown, which only a lenient walk accepts."""

    shape: Shape | None
    values: tuple[Number, ...] | None = None


_UNKNOWN = _Known(None)


class Walk:
    """One run of a graph, without the numbers.

    Args:
        limits: what the run may cost.
        is_strict: whether every size must be known.
    """

    def __init__(self, limits: Limits, *, is_strict: bool) -> None:
        self._limits, self._is_strict = limits, is_strict
        self._total = self._work = 0

    def run(self, graph: Graph) -> None:
        """Raises ArtifactError if a size is too large, or unknown in a strict walk."""
        known: dict[str, _Known] = {}
        for name, sizes_ in graph.inputs:
            shape = None if sizes_ is None else tuple(size for size in sizes_ if size is not None)
            if self._is_strict and (shape is None or sizes_ is None or len(shape) != len(sizes_)):
                raise ArtifactError(f"input {name!r}", expected="a known shape", found="open sizes")
            is_open = sizes_ is None or shape is None or len(shape) != len(sizes_)
            self._define(known, name, _UNKNOWN if is_open else _Known(shape), f"input {name!r}", 1)
        self._body(graph, known, 1)

    def _body(self, graph: Graph, known: dict[str, _Known], times: int) -> None:
        """The graph's own tensors and nodes, which run `times` times."""
        given = {name for name, _ in graph.inputs}
        for tensor in graph.tensors:
            if tensor.name in given and not self._is_strict:
                continue  # in old models an input may have a stored value; it may be fed too
            title = f"tensor {tensor.name!r}"
            self._define(known, tensor.name, _Known(tensor.shape, tensor.values), title, 1)
        for node in graph.nodes:
            self._node(node, known, times)

    def _node(self, node: Node, known: dict[str, _Known], times: int) -> None:
        try:
            found = self._outputs(node, known, times)
        except UnsizedError as error:
            if self._is_strict:
                raise ArtifactError(
                    node.title, expected="outputs of a known size", found=str(error)
                ) from None
            found = [_UNKNOWN] * len(node.outputs)
        for name, one in zip(node.outputs, found, strict=True):
            if name:
                self._define(known, name, one, node.title, times)

    def _outputs(self, node: Node, known: dict[str, _Known], times: int) -> list[_Known]:
        inputs = [known.get(name) if name else None for name in node.inputs]
        if any(one is None and name for one, name in zip(inputs, node.inputs, strict=True)):
            raise UnsizedError("it reads what no earlier node gives")
        if any(one is not None and one.shape is None for one in inputs):
            raise UnsizedError("the size of an input is not known")
        call = Call(
            op_type=node.op_type,
            shapes=tuple(None if one is None else one.shape for one in inputs),
            values=tuple(None if one is None else one.values for one in inputs),
            attributes={attribute.name: attribute for attribute in node.attributes},
            n_outputs=len(node.outputs),
        )
        if node.op_type == "Scan":
            return self._scan(node, call, known, times)
        if not sizes.knows(node.op_type):
            raise UnsizedError("no rule says how large its output is")
        if any(attribute.graphs for attribute in node.attributes):
            raise UnsizedError("it has a nested graph")
        found = sizes.shapes_of(call)
        self._do(node, times * sizes.work_of(call, found))
        return [_Known(shape, _value(node, call)) for shape in found]

    def _scan(self, node: Node, call: Call, known: dict[str, _Known], times: int) -> list[_Known]:
        """The body once per element of the axis; the state's shape must not change."""
        (body,) = call.attributes["body"].graphs if "body" in call.attributes else ((),)
        n_states = len(call.shapes) - call.option("num_scan_inputs", 0)
        if not isinstance(body, Graph) or len(body.inputs) != len(call.shapes) or n_states < 0:
            raise UnsizedError("its body does not fit")
        states = [call.shape(i) for i in range(n_states)]
        rows = [call.shape(i) for i in range(n_states, len(call.shapes))]
        axes = _axes(call, "scan_input_axes", rows)
        lengths = {row[axis] for row, axis in zip(rows, axes, strict=True)}
        if len(lengths) != 1:
            raise UnsizedError("its inputs differ in length")
        (length,) = lengths
        steps = [(*r[:axis], *r[axis + 1 :]) for r, axis in zip(rows, axes, strict=True)]
        inner = dict(known)
        for (name, _), shape in zip(body.inputs, [*states, *steps], strict=True):
            self._define(inner, name, _Known(shape), node.title, 1)
        self._body(body, inner, times * max(1, length))
        found = [inner.get(name, _UNKNOWN).shape for name in body.outputs]
        results = [shape for shape in found if shape is not None]
        if len(results) != len(node.outputs) or results[:n_states] != states:
            raise UnsizedError("its state does not keep its shape")
        outs = results[n_states:]
        wider = [(*[0] * (len(shape) + 1),) for shape in outs]
        at = _axes(call, "scan_output_axes", wider)
        outs = [(*s[:axis], length, *s[axis:]) for s, axis in zip(outs, at, strict=True)]
        return [_Known(shape) for shape in (*states, *outs)]

    def _define(
        self, known: dict[str, _Known], name: str, one: _Known, title: str, times: int
    ) -> None:
        if name in known:
            raise ArtifactError(title, expected="each value named once", found=name[:80])
        known[name] = one
        if one.shape is None:
            return
        if len(one.shape) > MAX_RANK or min(one.shape, default=0) < 0:
            raise ArtifactError(title, expected="a shape", found=list(one.shape[:20]))
        size = math.prod(one.shape)
        if size > self._limits.elements:
            expected = f"at most {self._limits.elements} elements in a value"
            raise ArtifactError(title, expected=expected, found=_short(size))
        self._total += size * times
        if self._total > self._limits.total:
            expected = f"at most {self._limits.total} elements in all values of a run"
            raise ArtifactError(title, expected=expected, found="more")

    def _do(self, node: Node, work: int) -> None:
        self._work += work
        if self._work > self._limits.work:
            expected = f"at most {self._limits.work} multiplications a run"
            raise ArtifactError(node.title, expected=expected, found="more")


def _value(node: Node, call: Call) -> tuple[Number, ...] | None:
    """What a Constant holds, or an Identity of something stored."""
    if node.op_type == "Identity":
        return call.values[0]
    if node.op_type != "Constant":
        return None
    (attribute,) = node.attributes
    if attribute.tensor is not None:
        return attribute.tensor.values
    found = attribute.value if isinstance(attribute.value, tuple) else (attribute.value,)
    numbers = tuple(one for one in found if isinstance(one, int | float))
    return numbers if len(numbers) == len(found) <= MAX_KNOWN else None


def _axes(call: Call, name: str, shapes: list[Shape]) -> tuple[int, ...]:
    """One axis for each of these shapes; the first unless the node says otherwise."""
    given = call.options(name, (0,) * len(shapes))
    if len(given) != len(shapes):
        raise UnsizedError(f"its {name} are not one per input")
    found = []
    for axis, shape in zip(given, shapes, strict=True):
        if not -len(shape) <= axis < len(shape):
            raise UnsizedError(f"it has no axis {axis}")
        found.append(axis % len(shape))
    return tuple(found)


def _short(size: int) -> str:
    """A number, which may have more digits than fit on a line."""
    return str(size) if size < 10**20 else "more than 10^20"
