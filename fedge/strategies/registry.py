"""Strategies by name: `mean/fedadam:lr=0.1,tau=0.001`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fedge.errors import ConfigError
from fedge.strategies.optimizers import FedAdagrad, FedAdam, FedAvg, FedAvgM, FedYogi
from fedge.strategies.parameters import form, listed, make, named
from fedge.strategies.rules import (
    AdaptiveClip,
    Bucketing,
    Bulyan,
    CenteredClipping,
    Chain,
    Clip,
    CovarianceFilter,
    FLTrust,
    FoolsGold,
    GeometricMedian,
    Krum,
    Meamed,
    Mean,
    Median,
    MinimumDiameter,
    MultiKrum,
    NearestNeighborMixing,
    Rule,
    SmallestEigenvalue,
    TrimmedMean,
)
from fedge.strategies.spec import Part, read_chain, read_part, split
from fedge.strategies.strategy import Strategy

Kinds = Mapping[str, type[Any]]  # frozen dataclasses whose fields are numbers

DEFAULT_RULE = "mean"
DEFAULT_OPTIMIZER = "fedavg"


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """What specs can name. No two kinds share a name, so either part can stand alone.

    Attributes:
        rules: each a `Rule`.
        optimizers: each an `Optimizer`.
        pre_aggregators: each a `PreAggregator`.

    Raises:
        ValueError: if two have the same name.
    """

    rules: Kinds
    optimizers: Kinds
    pre_aggregators: Kinds = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = [*self.rules, *self.optimizers, *self.pre_aggregators]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise ValueError(f"two strategies are called {listed(twice)}")

    def get(self, spec: str) -> Strategy:
        """The strategy that a spec names, see `fedge.strategies.get`."""
        before, after = split(spec)
        if after is None:
            before, after = self._complete(before)
        optimizer = self._given("optimizer", read_part(after), self.optimizers)
        return Strategy(self._rule(before), make(*optimizer))

    def optimizer_name(self, spec: str) -> str:
        """The name of a spec's optimizer, even if this release does not know it."""
        before, slash, after = spec.partition("/")
        if slash:
            return read_part(after).name
        first = read_chain(before)[0].name
        is_rule = first in self.rules or first in self.pre_aggregators
        return DEFAULT_OPTIMIZER if is_rule else first

    def _complete(self, text: str) -> tuple[str, str]:
        """Rule and optimizer of a spec that gives only one of them."""
        first, *others = read_chain(text)
        if others or first.name in self.rules or first.name in self.pre_aggregators:
            return text, DEFAULT_OPTIMIZER
        if first.name in self.optimizers:
            return DEFAULT_RULE, text
        raise ConfigError(
            f"unknown strategy {first.name!r}: the rules are {listed(self.rules)}, "
            f"the optimizers {listed(self.optimizers)}"
        )

    def _rule(self, text: str) -> Rule:
        *parts, last = read_chain(text)
        kind, whose, given = self._given("rule", last, self.rules)
        rule: Rule = make(kind, whose, given)
        before = []
        for part in parts:
            own = self._given("pre-aggregator", part, self.pre_aggregators)
            before.append(make(own[0], own[1], {**given, **own[2]}))
        return Chain(tuple(before), rule) if before else rule

    def _given(self, what: str, part: Part, kinds: Kinds) -> tuple[type[Any], str, dict[str, str]]:
        """The part's kind, whose it is for errors, and its values by name."""
        kind, whose = self._find(what, part.name, kinds), f"{what} {part.name}"
        return kind, whose, named(kind, whose, part)

    def _find(self, what: str, name: str, kinds: Kinds) -> type[Any]:
        if name in kinds:
            return kinds[name]
        known = f"the known ones are {listed(kinds)}" if kinds else "this release has none"
        others = {
            "a rule": self.rules,
            "an optimizer": self.optimizers,
            "a pre-aggregator": self.pre_aggregators,
        }
        hints = [f"; {name} is {other}" for other, names in others.items() if name in names]
        raise ConfigError(f"unknown {what} {name!r}: {known}{''.join(hints)}")


_REGISTRY = Registry(
    rules={
        "mean": Mean,
        "median": Median,
        "trimmed_mean": TrimmedMean,
        "meamed": Meamed,
        "krum": Krum,
        "multi_krum": MultiKrum,
        "bulyan": Bulyan,
        "geometric_median": GeometricMedian,
        "centered_clipping": CenteredClipping,
        "mda": MinimumDiameter,
        "smea": SmallestEigenvalue,
        "caf": CovarianceFilter,
        "fltrust": FLTrust,
        "foolsgold": FoolsGold,
    },
    optimizers={
        "fedavg": FedAvg,
        "fedavgm": FedAvgM,
        "fedadam": FedAdam,
        "fedyogi": FedYogi,
        "fedadagrad": FedAdagrad,
    },
    pre_aggregators={
        "nnm": NearestNeighborMixing,
        "bucketing": Bucketing,
        "clip": Clip,
        "arc": AdaptiveClip,
    },
)

RULES = tuple(form(*item) for item in _REGISTRY.rules.items())
"""The rules that specs can name, each with its parameters and their defaults."""
OPTIMIZERS = tuple(form(*item) for item in _REGISTRY.optimizers.items())
"""The optimizers that specs can name, each with its parameters and their defaults."""
PRE_AGGREGATORS = tuple(form(*item) for item in _REGISTRY.pre_aggregators.items())
"""The pre-aggregators that specs can name before a rule, with their parameters and defaults."""
SPECS = (*RULES, *OPTIMIZERS)  # each a spec by itself
HELP = (
    f"RULE/OPTIMIZER, or one of the two; rules: {', '.join(RULES)}; before a rule, joined by +: "
    f"{', '.join(PRE_AGGREGATORS)}; optimizers: {', '.join(OPTIMIZERS)}; docs/strategies.md helps "
    "to choose"
)
"""All of them, in one line for `--help`."""


def get(spec: str) -> Strategy:
    """The strategy that a spec names: a rule, an optimizer, or `rule/optimizer`.

    A missing rule means `mean`, a missing optimizer `fedavg`; `fedge.strategies.spec` has the
    grammar. A pre-aggregator without a value for a parameter uses the rule's value.

    Raises:
        ConfigError: for an unknown name or parameter, naming the known ones, and for a
            value that is not a number or out of range.
    """
    return _REGISTRY.get(spec)


def optimizer_name(spec: str) -> str:
    """The name of a spec's optimizer, even if this release does not know it."""
    return _REGISTRY.optimizer_name(spec)
