"""The outcome of a scenario."""

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Whether the claim held; if not, `faults` says how it failed.

    Attributes:
        facts: what was measured, by name.
    """

    name: str
    seed: int
    wall_s: float
    faults: tuple[str, ...]
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def is_as_claimed(self) -> bool:
        return not self.faults

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {**asdict(self), "is_as_claimed": self.is_as_claimed}
