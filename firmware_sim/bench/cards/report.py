"""The cards side by side, one column each; what may not be claimed is a dash with the reason."""

from collections.abc import Mapping, Sequence
from typing import Any

from fedge.bench.device.report import LINES, cell
from fedge.bench.table import markdown, table
from firmware_sim.bench.cards.column import Column


def text(
    columns: Sequence[Column], missing: Sequence[str] = (), *, as_markdown: bool = False
) -> str:
    """The table, the footnotes, and what was not measured.

    Args:
        columns: in order.
        missing: sentences.
        as_markdown: for a document.
    """
    notes = _numbered(columns)
    head = ["what", *(column.name for column in columns)]
    rows = [
        ["measured on", *(column.place for column in columns)],
        ["engine", *(column.engine for column in columns)],
    ]
    rows += [
        [what, *(_cell(each, name, scale, notes) for each in columns)]
        for name, what, scale in LINES
    ]
    parts = [(markdown if as_markdown else table)(head, rows)]
    parts += [f"[{number}] {note}" for note, number in notes.items()]
    parts += [f"not measured: {line}" for line in missing]
    return "\n\n".join(parts)


def as_json(columns: Sequence[Column], missing: Sequence[str] = ()) -> dict[str, Any]:
    """See `Column` and `Card`."""
    return {"columns": [column.to_json() for column in columns], "missing": list(missing)}


def _numbered(columns: Sequence[Column]) -> dict[str, int]:
    """Every note once, numbered from 1 in the order of the lines."""
    found: dict[str, int] = {}
    for name, *_ in LINES:
        for column in columns:
            note = column.card.figures.notes.get(name)
            if note is not None:
                found.setdefault(note, len(found) + 1)
    return found


def _cell(column: Column, name: str, scale: tuple[float, str], notes: Mapping[str, int]) -> str:
    figures = column.card.figures
    note = figures.notes.get(name)
    mark = f" [{notes[note]}]" if note else ""
    return cell(figures.values.get(name), *scale) + mark
