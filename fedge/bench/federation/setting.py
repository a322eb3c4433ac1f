"""What a run of the bench is.

It imports nothing of ours, so that `fedge bench` knows its choices and stays small.
"""

from dataclasses import dataclass, replace

TASKS = ("digits", "mnist", "wisdm")
WAYS = {
    "float32": "whole float32 updates and models, no bounds",
    "bounded": "the same with the default bounds on norms and weights",
    "unbiased": "updates by eden:2, which has no residual, models by the default codec, and bounds",
    "default": "the default codecs both ways, and the default bounds",
}
CENTRALISED, LOCAL = "centralised", "local"  # what a federation is compared with


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One run of the grid; two runs of equal settings have equal results on one machine.

    Attributes:
        task: by name.
        split: how examples are divided: a concentration of the Dirichlet draw, `shards` or `user`.
        method: by name; see `methods`.
        way: how updates and models are sent, one of `WAYS`.
        seed: of the split, the first model and everything else that is drawn.
        rounds: to play.
    """

    task: str
    split: str
    method: str
    way: str
    seed: int
    rounds: int

    @property
    def cell(self) -> "Setting":
        """What the runs of one line have in common."""
        return replace(self, way="", seed=0)
