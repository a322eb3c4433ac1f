"""The table of gradient rules: one operator, one rule."""

from collections.abc import Callable

from fedge.autodiff.graph import Name

Grads = tuple[Name | None, ...]
"""One gradient per input, None if not needed or nonexistent. Trailing Nones may be omitted."""

# A rule takes the graph, the node (`node.needs(i)` says which gradients are
# wanted) and the gradient of each floating-point output, one argument each.
Rule = Callable[..., Grads]

RULES: dict[str, Rule] = {}


def vjp(op_type: str) -> Callable[[Rule], Rule]:
    """Registers a function as the gradient rule (vector-Jacobian product) of an operator."""

    def enter(rule: Rule) -> Rule:
        if op_type in RULES:
            raise ValueError(f"operator {op_type} already has a rule")
        RULES[op_type] = rule
        return rule

    return enter
