"""The figures side by side, for people and as JSON."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from fedge.bench.aggregation.figures import OTHER, Figures
from fedge.bench.table import markdown, table


def text(found: Sequence[Figures], *, as_markdown: bool = False) -> str:
    """A table with a column for each size, then the notes."""
    draw = markdown if as_markdown else table
    head = ["what", *(f"{_number(one.n_devices)} devices" for one in found)]
    rows = [
        _row("updates accepted", found, lambda one: _number(one.n_updates)),
        _row("bytes per update", found, lambda one: _number(one.update_bytes)),
        _row("updates/s", found, lambda one: _number(one.updates_per_s)),
        _row("CPU time per update", found, lambda one: f"{one.cpu_us:.1f} us"),
        *_stages(found),
        _row("instructions per update, user mode", found, lambda one: _number(one.instructions)),
        _row("CPU time per birth", found, lambda one: f"{one.birth_us:.1f} us"),
        _row("CPU time per update to close a round", found, lambda one: f"{one.close_us:.1f} us"),
        _row("peak memory", found, lambda one: _mb(one.peak_bytes)),
        _row("on disk, all updates in", found, lambda one: _mb(one.disk_bytes)),
    ]
    notes = {f"{name}: {note}" for one in found for name, note in one.notes.items()}
    return "\n\n".join([draw(head, rows), *sorted(notes)])


def as_json(found: Sequence[Figures]) -> dict[str, Any]:
    """See `Figures`."""
    return {"aggregation": [asdict(one) for one in found]}


def _stages(found: Sequence[Figures]) -> list[list[str]]:
    names = dict.fromkeys(name for one in found for name in one.stages_us if name != OTHER)
    return [
        [f"  {name}", *(_us(one.stages_us.get(name)) for one in found)] for name in (*names, OTHER)
    ]


def _row(what: str, found: Sequence[Figures], say: Callable[[Figures], str]) -> list[str]:
    return [what, *map(say, found)]


def _us(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} us"


def _mb(value: int | None) -> str:
    return "-" if value is None else f"{value / 1e6:.1f} MB"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}".replace(",", " ")
