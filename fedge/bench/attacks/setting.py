"""What a run of the bench is: which task, sent how, combined by which rule, under which attack.

It imports nothing of ours, so that `fedge bench` knows its defaults and stays small.
"""

from dataclasses import dataclass, replace

DEFAULT_RULE = "mean"
UNBOUNDED = "unbounded"  # a rule's name: the mean without the bounds on norms and examples
CLEAN = "none"  # an attack's name
WINDOW = 5  # last rounds whose mean accuracy is the run's

# Ways to send, by name: a device's codec and the aggregator's; None for the defaults of both.
CODECS: dict[str, tuple[str, str] | None] = {"default": None, "float32": ("none", "none")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One run of the grid."""

    task: str  # a name or a file
    codec: str  # a name in CODECS
    rule: str  # a strategy's spec, or UNBOUNDED
    attack: str
    seed: int = 0
    n_devices: int = 10
    n_hostile: int = 2
    alpha: float = 0.5  # of the Dirichlet draw that deals out the examples
    rounds: int = 100
    local_steps: int = 5
    lr: float | None = None  # the task's
    norm_bound: float | None = None  # the default of an aggregator, like the next one
    weight_bound: float | None = None

    @property
    def cell(self) -> "Setting":
        """A cell of a table: what the runs of several seeds have in common."""
        return replace(self, seed=0)

    @property
    def table(self) -> "Setting":
        """What the cells of a table have in common."""
        return replace(self, rule="", attack="", seed=0)
