"""Accuracy against bytes, a panel for each cell."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fedge.bench.codecs.report import describe
from fedge.bench.codecs.run import WINDOW, Result
from fedge.errors import MissingDependencyError

_N_COLOURS = 10  # of matplotlib's default cycle


def check_matplotlib() -> None:
    """Raises MissingDependencyError before hours of work rather than after."""
    try:
        import matplotlib  # noqa: F401, PLC0415, ICN001 - only to see if it is installed
    except ImportError as error:
        raise MissingDependencyError(
            "the plot needs matplotlib: pip install 'fedge[bench]'"
        ) from error


def plot(results: Sequence[Result], path: Path) -> None:
    """Plot the first seed's runs: mean accuracy of the last rounds against bytes, up plus down.

    Raises:
        MissingDependencyError: if matplotlib is not installed.
    """
    check_matplotlib()
    import matplotlib as mpl  # noqa: PLC0415 - optional
    from matplotlib.figure import Figure  # noqa: PLC0415

    firsts = [result for result in results if result.setting.seed == 0]
    cells = list(dict.fromkeys(result.setting.cell for result in firsts))
    names = list(dict.fromkeys(result.setting.scheme for result in firsts))
    n_columns = len(cells) if len(cells) in {1, 3} else 2
    n_rows = -(-len(cells) // n_columns)
    with mpl.rc_context({"axes.grid": True, "grid.alpha": 0.3, "font.size": 8}):
        figure = Figure(figsize=(4.4 * n_columns + 2.4, 3 * n_rows), layout="constrained")
        panels = list(figure.subplots(n_rows, n_columns, squeeze=False).flat)
        for panel in panels[len(cells) :]:
            panel.set_visible(False)
        for cell, panel in zip(cells, panels, strict=False):
            _draw(panel, [result for result in firsts if result.setting.cell == cell], names)
            panel.set_title(describe(cell), fontsize=8)
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside right upper", fontsize=7)
        figure.savefig(path, dpi=100)


def _draw(panel: Any, runs: Sequence[Result], names: Sequence[str]) -> None:
    for result in runs:
        number = names.index(result.setting.scheme)
        style = "-" if number < _N_COLOURS else "--"
        colour = f"C{number % _N_COLOURS}"
        panel.plot(*_curve(result), style, color=colour, linewidth=1.2, label=names[number])
    panel.axhline(runs[0].target, color="black", linewidth=0.5)
    panel.set(xscale="log", xlabel="bytes a device, up and down", ylabel="test accuracy")


def _curve(result: Result) -> tuple[list[float], list[float]]:
    points, n_devices = result.points, result.setting.n_devices
    sizes = [(point.up + point.down) / n_devices for point in points]
    heights = []
    for end in range(1, len(points) + 1):
        last = [point.accuracy for point in points[max(0, end - WINDOW) : end]]
        heights.append(sum(last) / len(last))
    return sizes, heights
