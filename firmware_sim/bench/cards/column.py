"""A card, and where it was measured."""

from dataclasses import dataclass
from typing import Any

from fedge.bench.device.figures import Card


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One of the table.

    Attributes:
        name: the board's, or the program's on this machine.
        place: the tier; or what this machine is.
        engine: what trained.
        card: its figures.
        machine: what was measured, as `fedge bench` tells it; empty on this machine.
    """

    name: str
    place: str
    engine: str
    card: Card
    machine: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Numbers in the units of their names; None where the notes say why."""
        return {
            "name": self.name,
            "place": self.place,
            "engine": self.engine,
            "machine": self.machine,
            **self.card.to_json(),
        }
