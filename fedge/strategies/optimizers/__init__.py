"""Server optimizers: from a delta to the next model."""

from fedge.strategies.optimizers.base import Optimizer, State, read_state
from fedge.strategies.optimizers.fedadam import FedAdam
from fedge.strategies.optimizers.fedavg import FedAvg

__all__ = ["FedAdam", "FedAvg", "Optimizer", "State", "read_state"]
