"""The results of the runs: a table for people, a value for JSON."""

from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby
from typing import Any

from fedge.bench.federation.grid import LAST, Line, Outcome
from fedge.bench.federation.run import Result
from fedge.bench.federation.setting import Setting
from fedge.bench.federation.tasks import TASKS
from fedge.bench.table import markdown, table


def tables(lines: Sequence[Line], *, as_markdown: bool = False) -> str:
    """One table for each task and split; the first way is what the others are compared with."""
    draw = markdown if as_markdown else table
    parts = []
    for _, group in groupby(lines, key=lambda line: (line.cell.task, line.cell.split)):
        rows = list(group)
        ways = list(dict.fromkeys(way for line in rows for way in line.outcomes))
        body = [_row(line, ways) for line in rows]
        parts.append(f"{_title(rows[0])}\n\n{draw(_head(rows[0], ways), body)}")
    return "\n\n".join(parts)


def describe(cell: Setting) -> str:
    """A task and a split in words."""
    task = TASKS[cell.task]
    split = {"user": "by user", "shards": "two shards each"}.get(
        cell.split, f"Dirichlet {cell.split}"
    )
    return f"{cell.task}, {task.n_devices} devices ({split}), {task.n_sampled} a round"


def as_json(lines: Sequence[Line], results: Sequence[Result]) -> dict[str, Any]:
    """Everything."""
    return {
        "summary": [asdict(line) | {"cell": asdict(line.cell)} for line in lines],
        "runs": [asdict(result) for result in results],
    }


def _title(line: Line) -> str:
    plan = TASKS[line.cell.task].plan
    return (
        f"{describe(line.cell)}, {line.cell.rounds} rounds, E = {plan.epochs},"
        f" B = {plan.batch_size}, lr {plan.lr:g}, d = {line.n_params};"
        f" accuracy of the last {LAST} rounds / rounds to {line.target:.0%}"
    )


def _head(line: Line, ways: Sequence[str]) -> list[str]:
    del line
    head = ["method", ways[0], "spread", "seeds", "reference", "difference"]
    for way in ways[1:]:
        head += [way, f"{way} - {ways[0]}", "bytes ÷"]
    return head


def _row(line: Line, ways: Sequence[str]) -> list[str]:
    first = line.outcomes.get(ways[0])
    row = [line.cell.method, *_own(first, line.reference)]
    for way in ways[1:]:
        other = line.outcomes.get(way)
        row.append(_figures(other))
        row.append(_difference(other.accuracy, first.accuracy) if other and first else "-")
        row.append(_factor(first, other))
    return row


def _own(first: Outcome | None, reference: tuple[float, int | None] | None) -> list[str]:
    if first is None:
        return ["-"] * 5
    return [
        _figures(first),
        "-" if first.spread is None else _thousandths(first.spread),
        str(first.n_seeds),
        "-" if reference is None else _pair(*reference),
        "-" if reference is None else _difference(first.accuracy, reference[0]),
    ]


def _figures(outcome: Outcome | None) -> str:
    return "-" if outcome is None else _pair(outcome.accuracy, outcome.rounds)


def _pair(accuracy: float, rounds: float | None) -> str:
    return f"{_thousandths(accuracy)}/{'-' if rounds is None else format(rounds, 'g')}"


def _thousandths(share: float) -> str:
    return f"{share:.3f}".removeprefix("0")


def _difference(one: float, other: float) -> str:
    """In points of accuracy, hundredths."""
    return f"{100 * (one - other):+.1f}"


def _factor(first: Outcome | None, other: Outcome | None) -> str:
    if first is None or other is None or not other.up:
        return "-"
    return f"{(first.up + first.down) / (other.up + other.down):.0f}"
