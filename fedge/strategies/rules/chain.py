"""A rule with the pre-aggregators before it."""

from dataclasses import dataclass

from fedge.strategies.cohort import Cohort
from fedge.strategies.rules import needs
from fedge.strategies.rules.base import PreAggregator, Rule
from fedge.types import Vector


@dataclass(frozen=True, slots=True)
class Chain:
    """Pre-aggregators one after another, then a rule: itself a rule.

    Source: Allouah et al., 2023, arXiv:2302.01772 (mixing before a robust rule).
    """

    before: tuple[PreAggregator, ...]
    rule: Rule

    @property
    def streams(self) -> bool:
        return self.rule.streams and all(step.streams for step in self.before)

    @property
    def least(self) -> int:
        n = self.rule.least
        for step in reversed(self.before):
            n = step.least(n)
        return n

    @property
    def needs_reference(self) -> bool:
        return needs.needs_reference(self.rule)

    @property
    def needs_history(self) -> bool:
        return needs.needs_history(self.rule)

    @property
    def not_for_sparse(self) -> str:
        is_mixed = any(needs.makes_dense(step) for step in self.before)
        return "" if is_mixed else needs.not_for_sparse(self.rule)

    def combine(self, cohort: Cohort) -> Vector:
        for step in self.before:
            cohort = step.prepare(cohort)
        return self.rule.combine(cohort)
