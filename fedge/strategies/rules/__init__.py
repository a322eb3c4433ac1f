"""Rules: a cohort to one delta."""

from fedge.strategies.rules.base import PreAggregator, Rule
from fedge.strategies.rules.bound import NormBound, bound_norms
from fedge.strategies.rules.chain import Chain
from fedge.strategies.rules.examples import ExamplesBound, bound_examples
from fedge.strategies.rules.mean import Mean

__all__ = [
    "Chain",
    "ExamplesBound",
    "Mean",
    "NormBound",
    "PreAggregator",
    "Rule",
    "bound_examples",
    "bound_norms",
]
