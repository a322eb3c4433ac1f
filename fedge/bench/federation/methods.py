"""The methods that are compared: what the aggregator does, and what devices do."""

from dataclasses import dataclass

from fedge.bench.federation.setting import CENTRALISED, LOCAL
from fedge.config.aggregator import AggregatorConfig
from fedge.errors import ConfigError
from fedge.setting import default_of
from fedge.training import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """A way to train.

    Attributes:
        strategy: as in `fedge aggregate`.
        algorithm: likewise.
        uneven: a device draws its epochs of each round evenly from 1 to the task's.
    """

    strategy: str = default_of(AggregatorConfig, "strategy")
    algorithm: str = default_of(Plan, "algorithm")
    uneven: bool = False


METHODS = {
    "fedavg": Method(),
    "fedavgm": Method(strategy="fedavgm:beta=0.9,lr=0.3"),
    "fedadam": Method(strategy="fedadam:lr=0.03"),
    "fedyogi": Method(strategy="fedyogi:lr=0.03"),
    "fedadagrad": Method(strategy="fedadagrad:lr=0.1"),
    "fedprox": Method(algorithm="fedprox:mu=0.1"),
    "scaffold": Method(algorithm="scaffold"),
    "feddyn": Method(algorithm="feddyn:alpha=0.1"),
    "fednova-uneven": Method(algorithm="fednova", uneven=True),
    "fedavg-uneven": Method(uneven=True),
}
BASELINES = (CENTRALISED, LOCAL)  # no federation: all data in one place, or each device alone


def get(name: str) -> Method:
    """A method by its name; a baseline trains like FedAvg's devices.

    Raises:
        ConfigError: if there is no such method.
    """
    if name in BASELINES:
        return Method()
    if name not in METHODS:
        raise ConfigError(f"unknown method {name!r}: use {', '.join((*METHODS, *BASELINES))}")
    return METHODS[name]
