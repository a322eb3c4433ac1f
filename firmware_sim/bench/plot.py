"""Instructions per parameter or kept value: one row per kernel, one mark per board."""

from collections.abc import Sequence
from pathlib import Path

from fedge.errors import MissingDependencyError
from firmware_sim.bench.counts import Count, alike, lines

_MARKS = "os^Dv<>PX"
_SPREAD = 0.7  # share of a row's height


def check_matplotlib() -> None:
    """Raises MissingDependencyError before minutes of work rather than after."""
    try:
        import matplotlib  # noqa: F401, PLC0415, ICN001 - only whether it is there
    except ImportError as error:
        raise MissingDependencyError(
            "the plot needs matplotlib: pip install 'fedge[bench]'"
        ) from error


def plot(counts: Sequence[Count], path: Path) -> None:
    """Save the plot; boards with the same counts share a mark, plain twins are hollow.

    Raises:
        MissingDependencyError: if matplotlib is not installed.
    """
    check_matplotlib()
    from matplotlib.figure import Figure  # noqa: PLC0415 - optional

    rows = list(lines(counts).values())
    names = [_name(next(iter(by_board.values()))) for by_board in rows]
    figure = Figure(figsize=(9.5, 1.6 + 0.29 * len(rows)), layout="constrained")
    panel = figure.subplots()
    groups = alike(counts)
    for number, group in enumerate(groups):
        beside = _SPREAD * ((number + 0.5) / len(groups) - 0.5)  # or marks would hide each other
        colour, mark = f"C{number % 10}", _MARKS[number % len(_MARKS)]
        here = [(place + beside, row[group[0]]) for place, row in _with(rows, group[0])]
        ours = [(_each(count.ours, count), height) for height, count in here]
        panel.plot(
            *zip(*ours, strict=True), mark, color=colour, label=", ".join(group), markersize=5
        )
        twins = [(_each(count.twin, count), height) for height, count in here if count.twin]
        if twins:
            label = f"plain twin, {', '.join(group)}"
            places = zip(*twins, strict=True)
            panel.plot(*places, mark, color=colour, fillstyle="none", markersize=5, label=label)
    panel.set_yticks(range(len(rows)), names, fontsize=8)
    panel.set_ylim(len(rows) - 0.4, -0.6)
    panel.set(xscale="log", xlabel="instructions for each parameter, or each kept value or value")
    panel.grid(visible=True, which="major", alpha=0.4)
    panel.grid(visible=True, which="minor", axis="x", alpha=0.15)
    figure.legend(loc="outside lower center", ncols=2, fontsize=8)
    figure.savefig(path, dpi=110)


def _with(rows: Sequence[dict[str, Count]], board: str) -> list[tuple[int, dict[str, Count]]]:
    return [(place, row) for place, row in enumerate(rows) if board in row]


def _each(number: int, count: Count) -> float:
    return number / max(1, count.size)


def _name(count: Count) -> str:
    return f"{count.work}: {count.kernel} (each {count.unit})"
