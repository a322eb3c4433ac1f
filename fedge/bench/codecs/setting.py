"""What a run of the bench is: which task, by which scheme, in which federation.

It imports nothing of ours, so that `fedge bench` knows its defaults and stays small.
"""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One run of the grid."""

    task: str  # a name or a file
    scheme: str
    iid: bool = False
    participation: float = 1.0  # share of devices in each round
    seed: int = 0
    n_devices: int = 30
    rounds: int = 200  # at most
    local_steps: int = 5
    lr: float | None = None  # the task's
    target: float | None = None  # the task's
    strategy: str | None = None  # the default of an aggregator

    @property
    def cell(self) -> "Setting":
        """What runs that are compared with each other have in common."""
        return replace(self, scheme="", seed=0)
