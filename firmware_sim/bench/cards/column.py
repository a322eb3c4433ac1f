"""A card, and where it was measured."""

from dataclasses import dataclass
from typing import Any

from fedge.bench.device.figures import Card


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of the table.

    Attributes:
        name: the board's, or the program's on this machine.
        place: the tier, or a description of this machine.
        engine: what trained.
        card: its figures.
        machine: the measured machine, as `fedge bench` describes it; empty for this machine.
    """

    name: str
    place: str
    engine: str
    card: Card
    machine: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Numbers in the units of their names, or None with the reason in the notes."""
        return {
            "name": self.name,
            "place": self.place,
            "engine": self.engine,
            "machine": self.machine,
            **self.card.to_json(),
        }
