"""Figures, what is to be said of them, and the card that they make."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Figures:
    """Numbers by name; a name says its unit, and per-round ones are means of a round.

    Attributes:
        values: None where it could not be measured.
        notes: why, or what a number leaves out, by the same names.
    """

    values: Mapping[str, float | None]
    notes: Mapping[str, str]

    def __or__(self, other: "Figures") -> "Figures":
        return Figures({**self.values, **other.values}, {**self.notes, **other.notes})


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What taking part costs with one program.

    Attributes:
        who: the program and its version.
        figures: the lines of the table.
        installed: bytes on disk, by distribution.
    """

    who: str
    figures: Figures
    installed: Mapping[str, int]

    def to_json(self) -> dict[str, Any]:
        """As a file holds it."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """What `to_json` gave, in this release."""
        figures = Figures(data["figures"]["values"], data["figures"]["notes"])
        return cls(who=data["who"], figures=figures, installed=data["installed"])
