"""The results of the runs: a table for people, a value for JSON."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fedge.bench.attacks.catalogue import ATTACKS
from fedge.bench.attacks.run import Result
from fedge.bench.attacks.setting import Setting
from fedge.bench.attacks.summary import HELD, Cell, worst
from fedge.bench.table import markdown, table

LEGEND = (
    f"Test accuracy in percent, mean of the last rounds; ! is more than {100 * HELD:.0f} points"
    " below the run without an attack. After a slash, how much of the marked test examples the last"
    " model gives to the attacker. Worst: points that the worst attack cost, backdoors aside."
)


def tables(cells: Sequence[Cell], *, as_markdown: bool = False) -> str:
    """One table for each task and codec: rules down, attacks across."""
    draw = markdown if as_markdown else table
    parts = []
    for shared in dict.fromkeys(cell.setting.table for cell in cells):
        grid = _grid([cell for cell in cells if cell.setting.table == shared])
        parts.append(f"{describe(shared)}\n\n{draw(*grid)}")
    return "\n\n".join(parts)


def describe(shared: Setting) -> str:
    """A table's title."""
    name = Path(shared.task).stem if shared.task.endswith(".npz") else shared.task
    return (
        f"{name}, {shared.codec} codec, {shared.n_hostile} of {shared.n_devices} devices hostile,"
        f" {shared.rounds} rounds{_bounds(shared)}"
    )


def _bounds(shared: Setting) -> str:
    bounds = {"norm": shared.norm_bound, "weight": shared.weight_bound}
    return "".join(f", {name} bound {one:g}" for name, one in bounds.items() if one is not None)


def as_json(cells: Sequence[Cell], results: Sequence[Result]) -> dict[str, Any]:
    """Everything; accuracies and success are shares of 1."""
    return {
        "attacks": {name: attack.about for name, attack in ATTACKS.items()},
        "summary": [
            asdict(cell) | {"setting": _plain(cell.setting), "holds": cell.holds} for cell in cells
        ],
        "runs": [asdict(result) | {"setting": _plain(result.setting)} for result in results],
    }


def _grid(cells: Sequence[Cell]) -> tuple[list[str], list[list[str]]]:
    """Head and rows of one table."""
    rules = dict.fromkeys(cell.setting.rule for cell in cells)
    attacks = list(dict.fromkeys(cell.setting.attack for cell in cells))
    return ["rule", *attacks, "worst"], [_row(rule, attacks, cells) for rule in rules]


def _row(rule: str, attacks: Sequence[str], cells: Sequence[Cell]) -> list[str]:
    own = {cell.setting.attack: cell for cell in cells if cell.setting.rule == rule}
    most = worst(list(own.values()))
    end = f"{100 * max(most.lost, 0):.1f} {most.setting.attack}" if most else "-"
    return [rule, *(_text(own.get(attack)) for attack in attacks), end]


def _text(cell: Cell | None) -> str:
    if cell is None:
        return "-"
    text = f"{100 * cell.accuracy:.1f}{'' if cell.holds else '!'}"
    is_targeted = ATTACKS[cell.setting.attack].is_targeted
    return f"{text} / {100 * cell.backdoor:.0f}" if is_targeted else text


def _plain(setting: Setting) -> dict[str, Any]:
    return asdict(setting) | {"task": Path(setting.task).name}
