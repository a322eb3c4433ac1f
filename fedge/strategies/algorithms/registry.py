"""Algorithms by name: `feddyn:alpha=0.1`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fedge.errors import ConfigError
from fedge.strategies.algorithms.algorithm import Algorithm
from fedge.strategies.algorithms.feddyn import DynamicRegulariser
from fedge.strategies.algorithms.scaffold import ControlVariates
from fedge.strategies.limits import require_range
from fedge.strategies.parameters import form, listed, make, named
from fedge.strategies.spec import read_part

DEFAULT = "fedavg"


@dataclass(frozen=True, slots=True)
class FedAvg:
    """No algorithm: devices train as the plan says. McMahan et al., 2017, arXiv:1602.05629."""

    def made(self) -> Algorithm:
        return Algorithm(name="fedavg")


@dataclass(frozen=True, slots=True)
class FedProx:
    """A pull towards the global model. Li et al., 2020, arXiv:1812.06127, algorithm 2."""

    mu: float = 0.1

    def made(self) -> Algorithm:
        require_range("algorithm fedprox", "mu", self.mu, low=0, high=1000)
        return Algorithm(name="fedprox", pull=self.mu)


@dataclass(frozen=True, slots=True)
class Scaffold:
    """Control variates; see `ControlVariates`."""

    def made(self) -> Algorithm:
        return Algorithm(name="scaffold", control=ControlVariates())


@dataclass(frozen=True, slots=True)
class FedDyn:
    """A regulariser that changes with every round; see `DynamicRegulariser`."""

    alpha: float = 0.1

    def made(self) -> Algorithm:
        require_range("algorithm feddyn", "alpha", self.alpha, low=1e-6, high=1000)
        return Algorithm(name="feddyn", pull=self.alpha, control=DynamicRegulariser(self.alpha))


@dataclass(frozen=True, slots=True)
class FedNova:
    """Deltas divided by their numbers of steps; see `normalise`."""

    def made(self) -> Algorithm:
        return Algorithm(name="fednova", is_normalised=True)


@dataclass(frozen=True, slots=True)
class Ditto:
    """FedAvg, and a personal model on each device; see `personal_terms`."""

    lam: float = 0.1

    def made(self) -> Algorithm:
        require_range("algorithm ditto", "lam", self.lam, low=0, high=1000)
        return Algorithm(name="ditto", personal_pull=self.lam)


_KINDS: Mapping[str, type[Any]] = {
    "fedavg": FedAvg,
    "fedprox": FedProx,
    "scaffold": Scaffold,
    "feddyn": FedDyn,
    "fednova": FedNova,
    "ditto": Ditto,
}

SPECS = tuple(form(*item) for item in _KINDS.items())
"""The algorithms that specs can name, each with its parameters and their defaults."""
HELP = f"{', '.join(SPECS)}; docs/strategies.md says what each does"
"""All of them, in one line for `--help`."""


def get(spec: str) -> Algorithm:
    """The algorithm that a spec names, such as `fedprox:mu=0.01` or `scaffold`.

    Raises:
        ConfigError: for an unknown name or parameter, naming the known ones, and for a value that
            is not a number or out of range.
    """
    part = read_part(spec)
    if part.name not in _KINDS:
        raise ConfigError(f"unknown algorithm {part.name!r}: the known ones are {listed(_KINDS)}")
    kind, whose = _KINDS[part.name], f"algorithm {part.name}"
    algorithm: Algorithm = make(kind, whose, named(kind, whose, part)).made()
    return algorithm


def algorithm_name(spec: str) -> str:
    """The name of a spec's algorithm, even if this release does not know it."""
    return read_part(spec).name
