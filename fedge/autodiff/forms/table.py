"""The table of canonical forms: for each operator, a function that emits it in opset 18."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from fedge.autodiff import functions
from fedge.autodiff.graph import Graph, Name
from fedge.autodiff.infer import Attributes


@dataclass(frozen=True, slots=True)
class Call:
    """A node of the user's model whose inputs are already in the graph."""

    op_type: str
    inputs: tuple[Name, ...]
    attributes: Attributes
    n_outputs: int
    opset: int
    reads_data: bool = False  # whether an input depends on the model's inputs
    batch: tuple[int, int] | None = None  # the size the model fixes, the size wanted

    def without(self, *names: str) -> dict[str, Any]:
        return {key: value for key, value in self.attributes.items() if key not in names}

    def input(self, index: int) -> Name:
        return self.inputs[index] if index < len(self.inputs) else ""


Canonical = Callable[[Graph, Call], tuple[Name, ...]]
FORMS: dict[str, Canonical] = {}


def canonical(*op_types: str) -> Callable[[Canonical], Canonical]:
    """Registers a function as the one that emits an operator's canonical form."""

    def enter(form: Canonical) -> Canonical:
        for op_type in op_types:
            if op_type in FORMS:
                raise ValueError(f"operator {op_type} already has a canonical form")
            FORMS[op_type] = form
        return form

    return enter


def emit(g: Graph, call: Call) -> tuple[Name, ...]:
    """Adds a node in canonical form; a ValueError says why that is impossible."""
    if call.op_type in FORMS:
        return FORMS[call.op_type](g, call)
    return (_as_it_is if functions.is_known(call.op_type) else _by_definition)(g, call)


def _as_it_is(g: Graph, call: Call) -> tuple[Name, ...]:
    return g.ops(call.n_outputs, call.op_type, *call.inputs, **call.attributes)


def _by_definition(g: Graph, call: Call) -> tuple[Name, ...]:
    """An operator from another opset, in terms of the operators that onnx defines it by."""
    tensors = [g.tensors[name] if name else None for name in call.inputs]
    function = functions.body(call.op_type, call.attributes, tensors, call.opset)
    opset = max((o.version for o in function.opset_import), default=call.opset)
    given = functions.with_defaults(function, call.op_type, call.opset, call.attributes)
    names = dict(zip(function.input, call.inputs, strict=False))
    for node in function.node:
        inner = replace(
            call,
            op_type=node.op_type,
            inputs=tuple(names.get(name, "") for name in node.input),
            attributes=dict(functions.attributes_of(node, given)),
            n_outputs=len(node.output),
            opset=opset,
        )
        names.update(zip(node.output, emit(g, inner), strict=False))
    return tuple(names[name] for name in function.output[: call.n_outputs])
