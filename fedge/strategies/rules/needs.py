"""What some rules need besides the deltas, or cannot work with; most say nothing of it."""

from fedge.strategies.rules.base import PreAggregator, Rule


def needs_reference(rule: Rule) -> bool:
    """Whether its cohorts must have a `reference`, from data that the aggregator trusts."""
    return bool(getattr(rule, "needs_reference", False))


def needs_history(rule: Rule) -> bool:
    """Whether its cohorts should have a `history`."""
    return bool(getattr(rule, "needs_history", False))


def not_for_sparse(rule: Rule) -> str:
    """Why it must not be used where devices send only some parameters; "" if it may."""
    return str(getattr(rule, "not_for_sparse", ""))


def makes_dense(step: PreAggregator) -> bool:
    """Whether what it leaves has every parameter, with all that devices have in common."""
    return bool(getattr(step, "makes_dense", False))
