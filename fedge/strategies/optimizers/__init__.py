"""Server optimizers: from a delta to the next model."""

from fedge.strategies.optimizers.base import Optimizer, State, read_state
from fedge.strategies.optimizers.fedadagrad import FedAdagrad
from fedge.strategies.optimizers.fedadam import FedAdam
from fedge.strategies.optimizers.fedavg import FedAvg
from fedge.strategies.optimizers.fedavgm import FedAvgM
from fedge.strategies.optimizers.fedyogi import FedYogi

__all__ = [
    "FedAdagrad",
    "FedAdam",
    "FedAvg",
    "FedAvgM",
    "FedYogi",
    "Optimizer",
    "State",
    "read_state",
]
