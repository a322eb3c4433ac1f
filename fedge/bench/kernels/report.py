"""The figures as a table and as JSON."""

from typing import Any

from fedge.bench.kernels.figure import Figure, Goal
from fedge.bench.kernels.suite import Result
from fedge.bench.table import markdown, table

_HEAD = ("what", "ours", "x memcpy", "goal", "met", "peers (times ours)")
_SECONDS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"), (1e-9, "ns"))


def text(result: Result, *, as_markdown: bool = False) -> str:
    """The table, and what was missing."""
    draw = markdown if as_markdown else table
    parts = [
        "CPU time of one thread, medians; memcpy copies d float32; peers' figures in brackets",
        draw(_HEAD, [_row(figure) for figure in result.figures]),
    ]
    if result.missing:
        parts.append(f"not installed, so not compared: {', '.join(result.missing)}")
    return "\n\n".join(parts)


def as_json(result: Result) -> dict[str, Any]:
    """Seconds, nanoseconds, rates and ratios as they are; see `Figure`."""
    return {"figures": [_plain(figure) for figure in result.figures], "missing": result.missing}


def _plain(figure: Figure) -> dict[str, Any]:
    return {
        "key": figure.key,
        "what": figure.what,
        "ours": figure.ours,
        "unit": figure.unit,
        "peers": dict(figure.peers),
        "ratios": figure.ratios,
        "goals": [
            {
                "of": goal.of,
                "limit": goal.limit,
                "at_least": goal.at_least,
                "is_met": figure.is_met(goal),
            }
            for goal in figure.goals
        ],
    }


def _row(figure: Figure) -> list[str]:
    peers = (
        f"{name} {figure.value(name):.3g}x ({_amount(value, figure.unit)})"
        for name, value in figure.peers.items()
    )
    return [
        figure.what,
        _amount(figure.ours, figure.unit),
        "-" if figure.memcpy is None else f"{figure.memcpy:.2f}",
        ", ".join(_goal(goal, figure.unit) for goal in figure.goals) or "-",
        ", ".join(_MET[figure.is_met(goal)] for goal in figure.goals) or "-",
        ", ".join(peers) or "-",
    ]


_MET = {True: "yes", False: "NO", None: "?"}


def _goal(goal: Goal, unit: str) -> str:
    sign = ">=" if goal.at_least else "<="
    if goal.of == "ours":
        return f"{sign} {_amount(goal.limit, unit)}"
    return f"{sign} {goal.limit:g}x {goal.of}"


def _amount(value: float, unit: str) -> str:
    if unit == "s":
        scale, name = next((pair for pair in _SECONDS if value >= pair[0]), _SECONDS[-1])
        return f"{value / scale:.3g} {name}"
    if unit == "updates/s":
        return f"{value:,.0f}/s".replace(",", " ")
    return f"{value:.3f}x" if unit == "x" else f"{value:.2f} {unit}"
