"""The results of the runs: a table for people, a value for JSON."""

from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Any

from fedge.bench.codecs.grid import Line
from fedge.bench.codecs.run import Result
from fedge.bench.codecs.setting import Setting
from fedge.bench.codecs.split import ALPHA
from fedge.bench.table import markdown, table

_HEAD = ("up", "down", "rounds", "rounds ratio", "kB up", "kB down", "up ÷", "both ÷", "best")


def tables(lines: Sequence[Line], *, as_markdown: bool = False) -> str:
    """One table per cell."""
    draw = markdown if as_markdown else table
    parts = []
    for cell, group in groupby(lines, key=lambda line: line.cell):
        rows = list(group)
        title = f"{describe(cell)}, d = {rows[0].n_params}, to {rows[0].target:.0%}"
        parts.append(f"{title}\n\n{draw(_HEAD, [_row(line) for line in rows])}")
    return "\n\n".join(parts)


def describe(cell: Setting) -> str:
    """A cell in words."""
    name = Path(cell.task).stem if cell.task.endswith(".npz") else cell.task
    split = "alike" if cell.iid else _unlike(cell)
    return f"{name}, {cell.n_devices} devices {split}, {cell.participation:.0%} in a round"


def as_json(lines: Sequence[Line], results: Sequence[Result]) -> dict[str, Any]:
    """Everything; a point is [round, accuracy, bytes up, bytes down], bytes of all devices."""
    return {
        "summary": [asdict(line) | {"cell": _plain(line.cell)} for line in lines],
        "runs": [
            {
                "setting": _plain(result.setting),
                "n_params": result.n_params,
                "target": result.target,
                "reached_round": result.reached.round if result.reached else None,
                "failure": result.failure,
                "points": [
                    [point.round, round(point.accuracy, 5), point.up, point.down]
                    for point in result.points
                ],
            }
            for result in results
        ],
    }


def _unlike(cell: Setting) -> str:
    return "by client" if cell.task.endswith(".npz") else f"unlike (Dirichlet {ALPHA:g})"


def _plain(setting: Setting) -> dict[str, Any]:
    return asdict(setting) | {"task": Path(setting.task).name}


def _row(line: Line) -> list[str]:
    up, comma, down = line.scheme.partition(",")
    missed = f"{line.n_reached} of {line.n_seeds}"
    return [
        up,
        down if comma else "model",
        missed if line.rounds is None else f"{line.rounds:.0f}",
        _number(line.rounds_factor),
        _number(line.up, 1e-3),
        _number(line.down, 1e-3),
        _number(line.up_factor),
        _number(line.factor),
        f"{line.best:.1%}",
    ]


def _number(value: float | None, scale: float = 1.0) -> str:
    """Three significant digits, or a whole number if that has as many."""
    if value is None:
        return "-"
    value *= scale
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:,.{digits}f}".replace(",", " ")
