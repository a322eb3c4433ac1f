"""Strategies by name: `mean/fedadam:lr=0.1,tau=0.001`."""

from collections.abc import Iterable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any

from fedge.errors import ConfigError
from fedge.strategies.optimizers import FedAdam, FedAvg
from fedge.strategies.rules import Chain, Mean, Rule
from fedge.strategies.spec import Part, read_chain, read_part, split
from fedge.strategies.strategy import Strategy

Kinds = Mapping[str, type[Any]]  # frozen dataclasses whose fields are numbers

DEFAULT_RULE = "mean"
DEFAULT_OPTIMIZER = "fedavg"
_LARGEST_WHOLE = 2**31 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """What specs can name. A name belongs to one kind, so that either part may stand alone.

    Attributes:
        rules: each a `Rule`.
        optimizers: each an `Optimizer`.
        pre_aggregators: each a `PreAggregator`.

    Raises:
        ValueError: if two have one name.
    """

    rules: Kinds
    optimizers: Kinds
    pre_aggregators: Kinds = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = [*self.rules, *self.optimizers, *self.pre_aggregators]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise ValueError(f"two strategies are called {_listed(twice)}")

    def get(self, spec: str) -> Strategy:
        """The strategy that a spec names, see `fedge.strategies.get`."""
        before, after = split(spec)
        if after is None:
            before, after = self._complete(before)
        optimizer = read_part(after)
        kind = self._find("optimizer", optimizer.name, self.optimizers)
        return Strategy(self._rule(before), _make(kind, f"optimizer {optimizer.name}", optimizer))

    def optimizer_name(self, spec: str) -> str:
        """Which optimizer a spec means, even one that this release does not know."""
        before, slash, after = spec.partition("/")
        if slash:
            return read_part(after).name
        first = read_chain(before)[0].name
        is_rule = first in self.rules or first in self.pre_aggregators
        return DEFAULT_OPTIMIZER if is_rule else first

    def _complete(self, text: str) -> tuple[str, str]:
        """A rule and an optimizer, of which only one was given."""
        first, *others = read_chain(text)
        if others or first.name in self.rules or first.name in self.pre_aggregators:
            return text, DEFAULT_OPTIMIZER
        if first.name in self.optimizers:
            return DEFAULT_RULE, text
        raise ConfigError(
            f"unknown strategy {first.name!r}: the rules are {_listed(self.rules)}, "
            f"the optimizers {_listed(self.optimizers)}"
        )

    def _rule(self, text: str) -> Rule:
        *parts, last = read_chain(text)
        before = [
            _make(
                self._find("pre-aggregator", part.name, self.pre_aggregators),
                f"pre-aggregator {part.name}",
                part,
                shared=last,
            )
            for part in parts
        ]
        kind = self._find("rule", last.name, self.rules)
        rule: Rule = _make(kind, f"rule {last.name}", last)
        return Chain(tuple(before), rule) if before else rule

    def _find(self, what: str, name: str, kinds: Kinds) -> type[Any]:
        if name in kinds:
            return kinds[name]
        known = f"the known ones are {_listed(kinds)}" if kinds else "this release has none"
        others = {
            "a rule": self.rules,
            "an optimizer": self.optimizers,
            "a pre-aggregator": self.pre_aggregators,
        }
        hints = [f"; {name} is {other}" for other, names in others.items() if name in names]
        raise ConfigError(f"unknown {what} {name!r}: {known}{''.join(hints)}")


def _make(kind: type[Any], whose: str, part: Part, shared: Part | None = None) -> Any:
    """One of this kind with the part's values.

    Args:
        kind: a dataclass.
        whose: for errors.
        part: as the spec says it.
        shared: a part whose values it takes where it has a parameter of that name and no value.
    """
    known = {parameter.name: parameter for parameter in fields(kind)}
    given = _values(whose, part, tuple(known))
    for name, text in shared.values if shared else ():
        if name in known:
            given.setdefault(name, text)
    missing = [name for name in known if name not in given and _is_required(known[name])]
    if missing:
        raise ConfigError(
            f"{whose} needs {_listed(missing)}: write {part.name}:{missing[0]}=NUMBER"
        )
    return kind(**{name: _number(whose, known[name], text) for name, text in given.items()})


def _values(whose: str, part: Part, known: tuple[str, ...]) -> dict[str, str]:
    """Texts by the names of parameters; a first one without a name is the first parameter's."""
    given: dict[str, str] = {}
    for place, (said, text) in enumerate(part.values):
        name = said
        if name is None:
            name = known[0] if place == 0 and known else text
        if name not in known:
            raise ConfigError(
                f"{whose} has no parameter {name!r}: it has {_listed(known) or 'none'}"
            )
        if name in given:
            raise ConfigError(f"{whose}: {name} is given twice")
        given[name] = text
    return given


def _is_required(parameter: Field[Any]) -> bool:
    return parameter.default is MISSING and parameter.default_factory is MISSING


def _number(whose: str, parameter: Field[Any], text: str) -> float:
    read, wanted = (_whole, "a whole number") if parameter.type is int else (float, "a number")
    try:
        return read(text)
    except ValueError:
        raise ConfigError(f"{whose}: {parameter.name} must be {wanted}, not {text!r}") from None


def _whole(text: str) -> int:
    number = int(text)
    if abs(number) > _LARGEST_WHOLE:
        raise ValueError
    return number


def _form(name: str, kind: type[Any]) -> str:
    """For people: what is in brackets may be left out, and is then as it stands there."""
    needed = [f"{one.name}=N" for one in fields(kind) if _is_required(one)]
    others = [f"{one.name}={one.default:g}" for one in fields(kind) if not _is_required(one)]
    if needed:
        return f"{name}:{','.join(needed)}" + "".join(f"[,{one}]" for one in others)
    return f"{name}[:{','.join(others)}]" if others else name


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


_REGISTRY = Registry(rules={"mean": Mean}, optimizers={"fedavg": FedAvg, "fedadam": FedAdam})

RULES = tuple(_form(*item) for item in _REGISTRY.rules.items())
OPTIMIZERS = tuple(_form(*item) for item in _REGISTRY.optimizers.items())
SPECS = (*RULES, *OPTIMIZERS)  # each a spec by itself
HELP = (
    f"RULE/OPTIMIZER, or one of the two; rules: {', '.join(RULES)}; "
    f"optimizers: {', '.join(OPTIMIZERS)}"
)


def get(spec: str) -> Strategy:
    """The strategy that a spec names: a rule, an optimizer, or `rule/optimizer`.

    The part that is missing is the mean, or fedavg; `fedge.strategies.spec` has the grammar. A
    pre-aggregator that is not given a parameter takes the value that the rule is given.

    Raises:
        ConfigError: for an unknown name or parameter, naming the known ones, and for a
            number that is none or out of range.
    """
    return _REGISTRY.get(spec)


def optimizer_name(spec: str) -> str:
    """Which optimizer a spec means, even one that this release does not know."""
    return _REGISTRY.optimizer_name(spec)
