"""Accuracy against rounds, a panel for each task and split."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fedge.bench.codecs.plot import check_matplotlib
from fedge.bench.federation.report import describe
from fedge.bench.federation.run import Result
from fedge.types import Vector

_STYLES = ("-", "--", ":")  # of the ways


def plot(results: Sequence[Result], path: Path) -> None:
    """Mean accuracy over the seeds, a colour for each method, a style of line for each way.

    Raises:
        MissingDependencyError: if matplotlib is not installed.
    """
    check_matplotlib()
    import matplotlib as mpl  # noqa: PLC0415 - optional
    from matplotlib.figure import Figure  # noqa: PLC0415

    panels: dict[tuple[str, str], dict[tuple[str, str], list[Result]]] = {}
    for result in results:
        one = result.setting
        lines = panels.setdefault((one.task, one.split), {})
        lines.setdefault((one.method, one.way), []).append(result)
    names = list(dict.fromkeys(result.setting.method for result in results))
    ways = list(dict.fromkeys(result.setting.way for result in results))
    n_columns = min(2, len(panels))
    n_rows = -(-len(panels) // n_columns)
    with mpl.rc_context({"axes.grid": True, "grid.alpha": 0.3, "font.size": 8}):
        figure = Figure(figsize=(4.8 * n_columns + 2, 3 * n_rows), layout="constrained")
        axes = list(figure.subplots(n_rows, n_columns, squeeze=False).flat)
        for panel in axes[len(panels) :]:
            panel.set_visible(False)
        for panel, runs in zip(axes, panels.values(), strict=False):
            _draw(panel, runs, names, ways)
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside right upper", fontsize=7)
        figure.savefig(path, dpi=100)


def _draw(
    panel: Any,
    runs: dict[tuple[str, str], list[Result]],
    names: Sequence[str],
    ways: Sequence[str],
) -> None:
    for (method, way), group in runs.items():
        accuracy = _mean(group)
        panel.plot(
            np.arange(1, accuracy.size + 1),
            accuracy,
            _STYLES[ways.index(way) % len(_STYLES)],
            color=f"C{names.index(method)}",
            linewidth=1,
            label=method if way == ways[0] else f"{method}, {way}",
        )
    first = next(iter(runs.values()))[0].setting
    panel.set_title(describe(first.cell), fontsize=8)
    panel.set(xlabel="round", ylabel="test accuracy")


def _mean(group: Sequence[Result]) -> Vector:
    """Over seeds, then over up to five rounds, so that lines can be told apart."""
    mean = np.mean([result.accuracies for result in group], axis=0)
    sums = np.cumsum(np.concatenate([[0.0], mean]))
    ends = np.arange(1, mean.size + 1)
    starts = np.maximum(0, ends - 5)
    smooth: Vector = (sums[ends] - sums[starts]) / (ends - starts)
    return smooth
