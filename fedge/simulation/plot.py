"""One picture of a run: how good the model was, by round and by bytes sent."""

import math
from itertools import accumulate
from pathlib import Path
from typing import Any

from fedge.errors import MissingDependencyError
from fedge.simulation.report import human, reach

_UP, _DOWN, _BOTH = "tab:blue", "tab:orange", "black"


def plot(result: dict[str, Any], target: float, path: Path) -> None:
    """Save accuracy (or loss, where there is no accuracy) by round and by bytes as PNG.

    Everything drawn was measured in this run. Bytes are those of all devices together in the
    rounds so far, without the artifact, whose size is in the title.

    Args:
        result: what `as_json` made of the run.
        target: the accuracy that is marked, with the first round that reached it.
        path: where to save it.
    """
    try:
        import matplotlib as mpl  # noqa: PLC0415 - the extra `demo` has it
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ImportError as error:
        raise MissingDependencyError(
            "the plot needs matplotlib: pip install 'fedge[demo]'"
        ) from error
    rounds = result["rounds"]
    has_accuracy = bool(rounds) and rounds[0]["accuracy"] is not None
    height = [row["accuracy"] if has_accuracy else _finite(row["loss"]) for row in rounds]
    with mpl.rc_context({"axes.grid": True, "grid.alpha": 0.3, "font.size": 9}):
        figure = Figure(figsize=(9, 4), layout="constrained")
        figure.suptitle(_title(result), fontsize=10)
        by_round, by_bytes = figure.subplots(1, 2, sharey=True)
        by_round.plot([row["round"] for row in rounds], height, marker=".", color=_BOTH)
        by_round.set(xlabel="round", ylabel="test accuracy" if has_accuracy else "test loss")
        by_round.xaxis.get_major_locator().set_params(integer=True)
        _draw_bytes(by_bytes, rounds, height)
        for axes in (by_round, by_bytes):
            _scale(axes, has_accuracy=has_accuracy)
            if has_accuracy:
                axes.axhline(target, color="tab:green", linestyle="--", linewidth=1)
        if has_accuracy:
            _mark(by_round, target, rounds)
        by_bytes.legend(loc="lower right" if has_accuracy else "lower left")
        figure.savefig(path, dpi=120)


def _finite(loss: float | None) -> float:
    """A number that can be drawn, or NaN, which leaves a gap."""
    return loss if loss is not None and math.isfinite(loss) else math.nan


def _title(result: dict[str, Any]) -> str:
    given, n = result["arguments"], result["n_devices"]
    return (
        f"fedge demo: {n} devices, {result['n_trainable']:,} trained parameters,"
        f" {given['strategy']}\ncodec {given['codec']} up, {given['downlink_codec']} down;"
        f" before that the artifact, {human(result['totals']['artifact_bytes'] / n)} to each device"
    )


def _draw_bytes(axes: Any, rounds: list[dict[str, Any]], height: list[float]) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator  # noqa: PLC0415

    up = list(accumulate(row["uplink_bytes"] for row in rounds))
    down = list(accumulate(row["downlink_bytes"] for row in rounds))
    both = [a + b for a, b in zip(up, down, strict=True)]
    for label, sizes, color in (("up", up, _UP), ("down", down, _DOWN), ("both", both, _BOTH)):
        axes.plot(sizes, height, marker=".", color=color, label=label)
    axes.set(xscale="log", xlabel="sent (up) and received (down) by all devices in these rounds")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda size, _: human(size)))
    axes.minorticks_off()


def _scale(axes: Any, *, has_accuracy: bool) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, PercentFormatter  # noqa: PLC0415

    if has_accuracy:
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.set_ylim(top=1.02)
    elif any(loss > 0 for line in axes.lines for loss in line.get_ydata()):
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda loss, _: f"{loss:g}"))
        axes.minorticks_off()


def _mark(axes: Any, target: float, rounds: list[dict[str, Any]]) -> None:
    """Say what the line means and which round reached it first, just above its left end."""
    reached = reach(target, rounds)
    when = f"first in round {reached.round}" if reached else "not reached"
    axes.annotate(
        f"{target:.0%}: {when}",
        (0.02, target),
        xycoords=axes.get_yaxis_transform(),
        xytext=(0, 3),
        textcoords="offset points",
        color="tab:green",
    )
