"""The reverse sweep: from the gradient of results to the gradients of parameters."""

from collections.abc import Collection, Mapping
from dataclasses import replace

from fedge.autodiff.graph import Graph, Name, Node
from fedge.autodiff.rules import RULES
from fedge.errors import ModelError


def gradients(g: Graph, seeds: Mapping[Name, Name], wanted: Collection[Name]) -> dict[Name, Name]:
    """Adds the nodes that compute gradients to the graph.

    Args:
        g: a graph; nodes are appended to it.
        seeds: for each result, the gradient that arrives there, in the result's shape.
        wanted: inputs of the graph whose gradients are wanted.

    Returns:
        The gradient's name for each wanted input; inputs that have no influence on
        the results are left out.

    Raises:
        ModelError: if an operator on the way has no rule.
    """
    forward = list(g.nodes)
    active = _influenced(g, forward, wanted)
    arrived: dict[Name, list[Name]] = {result: [seed] for result, seed in seeds.items()}
    for node in reversed(forward):
        if not active.isdisjoint(node.inputs) and any(name in arrived for name in node.outputs):
            _step(g, replace(node, wanted=tuple(name in active for name in node.inputs)), arrived)
    return {name: _total(g, arrived[name]) for name in wanted if name in arrived}


def _influenced(g: Graph, nodes: list[Node], wanted: Collection[Name]) -> set[Name]:
    """Every floating-point value that depends on a wanted input."""
    active = set(wanted)
    for node in nodes:
        if not active.isdisjoint(node.inputs):
            active.update(name for name in node.outputs if g.tensors[name].is_float)
    return active


def _step(g: Graph, node: Node, arrived: dict[Name, list[Name]]) -> None:
    dys = [_gradient(g, name, arrived) for name in node.outputs if g.tensors[name].is_float]
    if node.op_type not in RULES:
        raise refusal(g, node, "has no gradient rule; train only parameters after it, or replace")
    try:
        found = RULES[node.op_type](g, node, *dys)
    except ValueError as error:
        raise refusal(g, node, f"cannot be differentiated ({error}); change") from None
    for name, gradient in zip(node.inputs, found, strict=False):
        if gradient is not None and name:
            arrived.setdefault(name, []).append(gradient)


def _gradient(g: Graph, name: Name, arrived: Mapping[Name, list[Name]]) -> Name:
    if name in arrived:
        return _total(g, arrived[name])
    return g.zeros(g.shape(name), like=name)


def _total(g: Graph, parts: list[Name]) -> Name:
    """The sum of the gradients that a value's several uses contribute."""
    if len(parts) > 1:
        parts[:] = [g.op("Add" if len(parts) == 2 else "Sum", *parts)]
    return parts[0]


def refusal(g: Graph, node: Node, why: str) -> ModelError:
    """A sentence that names the node and its operator."""
    origin = next((g.origins[name] for name in node.outputs if name in g.origins), node.outputs[0])
    return ModelError(f"node {origin!r} ({node.op_type}) {why} the node")
