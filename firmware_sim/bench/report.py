"""Counts as a table, kernel by board, and as JSON."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from fedge.bench.table import markdown, table
from firmware_sim.bench.counts import Count, alike, boards, lines

_TWIN = "plain twin"


def text(counts: Sequence[Count], *, as_markdown: bool = False) -> str:
    """Instructions and, in brackets, instructions per item the kernel works on."""
    groups = alike(counts)
    has_twins = any(count.twin is not None for count in counts)
    head = ["work", "kernel", "for each of"]
    for group in groups:
        head += [", ".join(group), *([_TWIN] if has_twins else [])]
    rows = [_row(by_board, groups, has_twins=has_twins) for by_board in lines(counts).values()]
    return (markdown if as_markdown else table)(head, rows)


def as_json(counts: Sequence[Count]) -> dict[str, Any]:
    """See `Count`."""
    return {"boards": boards(counts), "counts": [asdict(count) for count in counts]}


def _row(
    by_board: dict[str, Count], groups: Sequence[Sequence[str]], *, has_twins: bool
) -> list[str]:
    first = next(iter(by_board.values()))
    row = [first.work, first.kernel, f"{_grouped(first.size)} {first.unit}s"]
    for group in groups:
        count = by_board.get(group[0])
        row.append(_amount(count.ours, count.size) if count else "-")
        if has_twins:
            twin = count.twin if count else None
            row.append("-" if count is None or twin is None else _amount(twin, count.size))
    return row


def _amount(number: int, size: int) -> str:
    return f"{_grouped(number)} ({number / max(1, size):.3g})"


def _grouped(number: int) -> str:
    return f"{number:,}".replace(",", " ")
