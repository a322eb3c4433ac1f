"""What algorithms take and give."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from fedge.types import Vector

Vectors = Mapping[str, Vector]  # by name, float32 (n_trainable,) each


class LocalPlan(Protocol):
    """What an algorithm needs to know of a plan; `fedge.training.Plan` has it."""

    @property
    def lr(self) -> float: ...
    @property
    def momentum(self) -> float: ...
    @property
    def proximal(self) -> float: ...
    @property
    def codec(self) -> str: ...
    def n_steps(self, n_examples: int) -> int: ...


@dataclass(frozen=True, slots=True, eq=False)
class LocalTerms:
    """What is added to each gradient of a device's steps.

    Attributes:
        correction: float32 (n_trainable,); None adds nothing.
        proximal: the pull towards where the steps start, instead of the plan's.
        start: where they start, float32 (n_trainable,); None: from the global model.
    """

    correction: Vector | None
    proximal: float
    start: Vector | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Sent:
    """An update as the aggregator gets it.

    Attributes:
        delta: as decoded from its payload, float32 (n_trainable,).
        n_steps: optimizer steps that made it.
    """

    delta: Vector
    n_steps: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Occasion:
    """What the aggregator knows of a round, apart from its cohort.

    Attributes:
        plan: as sent to the devices.
        fleet_examples: that all devices have together, those of the cohort and all others; where
            some are not known, an estimate. At least those of the cohort.
        server: the vectors that devices were sent, as they decoded them.
    """

    plan: LocalPlan
    fleet_examples: int
    server: Vectors = field(default_factory=dict)
