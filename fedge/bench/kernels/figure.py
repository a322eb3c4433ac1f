"""One measured figure, and what it is compared with."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Goal:
    """A bound for a figure.

    Attributes:
        of: what is bounded: "ours", the figure itself; "memcpy", its ratio to that; or a peer's
            name: that one's figure over ours.
        limit: at most this, or at least.
        at_least: whether more is better.
    """

    of: str
    limit: float
    at_least: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A line of the table.

    Attributes:
        key: the same on every machine: what baselines are kept under.
        what: for people.
        ours: the figure.
        unit: "s" a call, "ns" a value, "updates/s", or "x" of a bound.
        memcpy: ours over the time to copy as many float32 as the model has; seconds only.
        peers: the same figure of others; larger than ours is slower or longer.
        goals: what it should reach.
    """

    key: str
    what: str
    ours: float
    unit: str
    memcpy: float | None = None
    peers: Mapping[str, float] = field(default_factory=dict)
    goals: tuple[Goal, ...] = ()

    def value(self, of: str) -> float | None:
        """What a goal is about; None where that peer is missing."""
        if of == "ours":
            return self.ours
        if of == "memcpy":
            return self.memcpy
        peer = self.peers.get(of)
        if peer is None:
            return None
        # A rate is better when larger, everything else when smaller.
        return self.ours / peer if self.unit == "updates/s" else peer / self.ours

    def is_met(self, goal: Goal) -> bool | None:
        value = self.value(goal.of)
        if value is None:
            return None
        return value >= goal.limit if goal.at_least else value <= goal.limit

    @property
    def ratios(self) -> dict[str, float]:
        """Ratios that machines of a kind can compare, by what they are relative to."""
        found = {"bound": self.ours} if self.unit == "x" else {}
        if self.memcpy is not None:
            found["memcpy"] = self.memcpy
        return found | {name: self.value(name) or 0.0 for name in self.peers}
