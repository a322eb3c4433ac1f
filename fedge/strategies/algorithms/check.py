"""Which rules, optimizers and plans an algorithm goes with."""

from fedge.errors import ConfigError
from fedge.strategies.algorithms.algorithm import Algorithm
from fedge.strategies.algorithms.values import LocalPlan
from fedge.strategies.optimizers import FedAvg
from fedge.strategies.rules import Mean
from fedge.strategies.strategy import Strategy


def check(algorithm: Algorithm, strategy: Strategy, plan: LocalPlan) -> None:
    """Refuse what an algorithm cannot be combined with.

    Raises:
        ConfigError: in one sentence, with the reason.
    """
    if algorithm.control is not None and not isinstance(strategy.rule, Mean):
        raise ConfigError(
            f"algorithm {algorithm.name} needs the rule mean: what its devices add to their steps "
            "is a mean over the fleet, which no other rule protects"
        )
    moves_model = algorithm.control is not None and not algorithm.control.is_sent
    if moves_model and strategy.optimizer != FedAvg():
        raise ConfigError(
            f"algorithm {algorithm.name} needs the optimizer fedavg with lr 1: it moves the model "
            "by a formula of its own"
        )
    if algorithm.pull is not None and plan.proximal:
        raise ConfigError(
            f"algorithm {algorithm.name} has a proximal term of its own: leave proximal at 0, "
            f"not {plan.proximal:g}"
        )
