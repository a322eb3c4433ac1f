"""The cards side by side, for people and as JSON."""

from collections.abc import Sequence
from typing import Any

from fedge.bench.device.figures import Card
from fedge.bench.table import markdown, table

_MB = (1e6, "MB")
# A figure's name, its label, and its unit.
LINES = (
    ("installed_bytes", "installed, with everything it needs", _MB),
    ("import_s", "import", (1.0, "s")),
    ("first_step_s", "cold start to the end of the first step", (1.0, "s")),
    ("first_step_cpu_s", "of that, CPU time", (1.0, "s")),
    ("first_step_instructions", "of that, instructions, user mode", (1e6, "million")),
    ("peak_training_bytes", "peak memory in training", _MB),
    ("peak_upload_bytes", "peak memory between trainings: upload, download", _MB),
    ("peak_bytes", "peak memory of the whole run", _MB),
    ("sent_bytes", "sent per round, including framing", (1e3, "kB")),
    ("received_bytes", "received per round, including framing", (1e3, "kB")),
    ("cpu_s", "CPU time per round", (1e-3, "ms")),
    ("instructions", "instructions per round, user mode", (1e6, "million")),
)


def text(cards: Sequence[Card], missing: Sequence[str] = (), *, as_markdown: bool = False) -> str:
    """A table with a column for each card, then the notes.

    Args:
        cards: ours first; if there are two, a last column has the ratio of the other to ours.
        missing: peers that could not be measured, and how to install them.
        as_markdown: format it for a document.
    """
    head = ["what", *(card.who for card in cards), *(["times ours"] if len(cards) == 2 else [])]
    rows = [[what, *_cells(cards, name, *scale)] for name, what, scale in LINES]
    draw = markdown if as_markdown else table
    parts = [draw(head, rows), *_notes(cards)]
    parts += [f"not installed, so not compared: {line}" for line in missing]
    return "\n\n".join(parts)


def as_json(cards: Sequence[Card], missing: Sequence[str] = ()) -> dict[str, Any]:
    """Numbers in the units of their names, or None with the reason in the notes."""
    return {"cards": [card.to_json() for card in cards], "missing": list(missing)}


def cell(value: float | None, scale: float, unit: str) -> str:
    """A number in multiples of a unit; a dash if unknown."""
    return "-" if value is None else f"{_three(value / scale)} {unit}"


def _cells(cards: Sequence[Card], name: str, scale: float, unit: str) -> list[str]:
    values = [card.figures.values.get(name) for card in cards]
    cells = [cell(value, scale, unit) for value in values]
    if len(values) == 2:
        ours, other = values
        cells.append("-" if not ours or other is None else f"{_three(other / ours)}x")
    return cells


def _notes(cards: Sequence[Card]) -> list[str]:
    """Each note once, with the lines that it applies to."""
    titles = {name: what for name, what, _ in LINES}
    lines = []
    for card in cards:
        about: dict[str, list[str]] = {}
        for name, note in card.figures.notes.items():
            about.setdefault(note, []).append(titles[name])
        lines += [f"{card.who}: {'; '.join(names)}: {note}" for note, names in about.items()]
    return lines


def _three(value: float) -> str:
    """Three significant digits, or a whole number if that has as many."""
    digits = 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 1 else 3
    return f"{value:,.{digits}f}".replace(",", " ")
