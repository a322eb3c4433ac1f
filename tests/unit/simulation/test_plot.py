"""The picture of a run: only what was measured, in units that people read."""

from pathlib import Path
from typing import Any

import pytest
from matplotlib import figure

from fedge.simulation.plot import plot


def result(accuracies: list[float | None], losses: list[float]) -> dict[str, Any]:
    rounds = [
        {
            "round": i + 1,
            "accuracy": accuracy,
            "loss": loss,
            "uplink_bytes": 5_000,
            "downlink_bytes": 20_000,
            "artifact_bytes": 0,
            "float32_uplink_bytes": 7_000_000,
            "float32_downlink_bytes": 7_000_000,
        }
        for i, (accuracy, loss) in enumerate(zip(accuracies, losses, strict=True))
    ]
    return {
        "rounds": rounds,
        "n_devices": 4,
        "n_trainable": 1281,
        "totals": {"artifact_bytes": 4 * 212_000},
        "arguments": {"codec": "topk:0.01/sign", "downlink_codec": "none", "strategy": "fedavg"},
    }


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The figures that are saved, for a look at their parts."""
    seen: list[Any] = []
    save = figure.Figure.savefig

    def savefig(self: Any, *args: Any, **kwargs: Any) -> None:
        seen.append(self)
        save(self, *args, **kwargs)

    monkeypatch.setattr(figure.Figure, "savefig", savefig)
    return seen


def test_it_has_a_title_percent_kilobytes_and_the_line_of_the_target(
    tmp_path: Path, drawn: list[Any]
) -> None:
    plot(result([0.5, 0.96, 0.97], [1, 0.5, 0.4]), 0.95, tmp_path / "a.png")
    (picture,) = drawn
    by_round, by_bytes = picture.axes
    title = picture.get_suptitle()
    assert "4 devices, 1,281 trained parameters" in title
    assert "the artifact, 212 kB to each device" in title
    assert {text.get_text()[-1] for text in by_round.get_yticklabels()} == {"%"}
    shown = [text.get_text() for text in by_bytes.get_xticklabels()]
    assert "20 kB" in shown
    assert by_round.texts[0].get_text() == "95%: first in round 2"
    assert 0.95 in [line.get_ydata()[0] for line in by_round.lines]


def test_every_curve_was_measured(tmp_path: Path, drawn: list[Any]) -> None:
    """None reaches the 14 MB that float32 would have taken in a round."""
    plot(result([0.5, 0.96, 0.97], [1, 0.5, 0.4]), 0.95, tmp_path / "a.png")
    curves = {line.get_label(): list(line.get_xdata()) for line in drawn[0].axes[1].lines[:3]}
    assert curves == {
        "up": [5_000, 10_000, 15_000],
        "down": [20_000, 40_000, 60_000],
        "both": [25_000, 50_000, 75_000],
    }
    assert len(drawn[0].axes[1].lines) == 4  # and the target's line


@pytest.mark.parametrize(
    "losses", [[2000.0, 100.0], [5.0], [0.0, 0.0], [float("inf"), 3.0], [float("nan")]]
)
def test_numbers_have_a_loss_and_no_target(
    losses: list[float], tmp_path: Path, drawn: list[Any]
) -> None:
    plot(result([None] * len(losses), losses), 0.95, tmp_path / "a.png")
    by_round, by_bytes = drawn[0].axes
    assert by_round.get_ylabel() == "test loss"
    assert (len(by_round.lines), len(by_bytes.lines)) == (1, 3)
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_a_target_that_was_not_reached_is_said_to_be(tmp_path: Path, drawn: list[Any]) -> None:
    plot(result([0.5], [1]), 0.95, tmp_path / "a.png")
    assert drawn[0].axes[0].texts[0].get_text() == "95%: not reached"
