"""Strategies by name: `fedadam:lr=0.1,tau=0.001`."""

from collections.abc import Iterable
from dataclasses import fields

from fedge.errors import ConfigError
from fedge.strategies.base import Strategy
from fedge.strategies.fedadam import FedAdam
from fedge.strategies.fedavg import FedAvg

_KNOWN: dict[str, type[FedAvg] | type[FedAdam]] = {"fedavg": FedAvg, "fedadam": FedAdam}

# Every kind, for people: what is in brackets may be left out, and is then as it stands there.
SPECS = tuple(
    f"{name}[:{','.join(f'{field.name}={field.default:g}' for field in fields(kind))}]"
    for name, kind in _KNOWN.items()
)


def get(spec: str) -> Strategy:
    """The strategy that a spec names: a name, and after a colon `parameter=number` pairs.

    Raises:
        ConfigError: for an unknown name or parameter, naming the known ones, and for a
            number that is none or out of range.
    """
    name, colon, rest = spec.partition(":")
    if name not in _KNOWN:
        raise ConfigError(f"unknown strategy {name!r}: the known ones are {_listed(_KNOWN)}")
    kind = _KNOWN[name]
    known = [field.name for field in fields(kind)]
    given: dict[str, float] = {}
    for pair in rest.split(",") if colon else []:
        key, _, text = pair.partition("=")
        if key not in known:
            raise ConfigError(f"strategy {name} has no parameter {key!r}: it has {_listed(known)}")
        if key in given:
            raise ConfigError(f"strategy {name}: {key} is given twice")
        given[key] = _number(name, key, text)
    return kind(**given)


def _number(strategy: str, key: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ConfigError(f"strategy {strategy}: {key} must be a number, not {text!r}") from None


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
