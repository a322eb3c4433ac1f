"""One picture of a run: accuracy by round, and by what had to be sent and received for it."""

from itertools import accumulate
from pathlib import Path
from typing import Any

from fedge.errors import MissingDependencyError


def plot(rounds: list[dict[str, Any]], codecs: str, path: Path) -> None:
    """Save accuracy (or loss, where there is no accuracy) by round and by bytes as PNG.

    Bytes are those of all devices in both directions, without the artifact. The dashed
    line is the same run with every update and every model counted as plain float32,
    which is what these rounds would have cost without codecs.
    """
    try:
        import matplotlib as mpl  # noqa: PLC0415 - the extra `demo` has it
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ImportError as error:
        raise MissingDependencyError(
            "the plot needs matplotlib: pip install 'fedge[demo]'"
        ) from error
    measure = "accuracy" if rounds and rounds[0]["accuracy"] is not None else "loss"
    height = [row[measure] for row in rounds]
    sent = list(accumulate(map(_both, rounds)))
    plain = list(
        accumulate(row["float32_uplink_bytes"] + row["float32_downlink_bytes"] for row in rounds)
    )
    with mpl.rc_context({"axes.grid": True, "grid.alpha": 0.3, "font.size": 9}):
        figure = Figure(figsize=(9, 3.6), layout="constrained")
        by_round, by_bytes = figure.subplots(1, 2, sharey=True)
        by_round.plot([row["round"] for row in rounds], height, marker=".")
        by_round.set(xlabel="round", ylabel=f"test {measure}", title="by round")
        by_bytes.plot(sent, height, marker=".", label=f"{codecs} (measured)")
        by_bytes.plot(plain, height, linestyle="--", label="float32 (same rounds)")
        by_bytes.set(xscale="log", xlabel="bytes sent and received, all devices", title="by bytes")
        by_bytes.legend(loc="lower left" if measure == "loss" else "lower right")
        figure.savefig(path, dpi=120)


def _both(row: dict[str, Any]) -> int:
    size: int = row["uplink_bytes"] + row["downlink_bytes"] - row["artifact_bytes"]
    return size
