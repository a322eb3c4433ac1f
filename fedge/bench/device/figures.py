"""Figures with their notes, and the card they make up."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Figures:
    """Numbers by name; the name includes the unit, and per-round ones are means over rounds.

    Attributes:
        values: by name; None if it could not be measured.
        notes: by name; why not, or what the number leaves out.
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
        """The form stored in a file."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`, for files of this release."""
        figures = Figures(data["figures"]["values"], data["figures"]["notes"])
        return cls(who=data["who"], figures=figures, installed=data["installed"])
