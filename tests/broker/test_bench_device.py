"""`fedge bench device` as a person runs it: a broker, an aggregator and the device, for real."""

import json
from pathlib import Path

import pytest

from fedge.cli.main import main

pytestmark = pytest.mark.broker

_MODEL_BYTES = 4 * 51_466  # the perceptron 64-192-192-10


def test_the_card_has_every_figure_and_plain_models_cost_what_they_weigh(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = ["--codec", "none", "--downlink-codec", "none"]
    path = tmp_path / "card.json"
    words = ["bench", "device", "--rounds", "3", "--repeats", "1", *plain, "--json", str(path)]
    assert main(words) == 0
    (card,) = json.loads(path.read_text())["cards"]
    values, notes = card["figures"]["values"], card["figures"]["notes"]
    assert {name for name, value in values.items() if value is None} <= set(notes)
    uncounted = {"instructions", "first_step_instructions"}
    assert set(notes) <= uncounted  # virtual machines have no counter of them
    for way in ("sent_bytes", "received_bytes"):
        assert _MODEL_BYTES < values[way] < 1.01 * _MODEL_BYTES
    assert 0 < values["import_s"] < values["first_step_s"] < 30
    assert 0 < values["cpu_s"] < 3
    assert 20e6 < values["peak_training_bytes"] <= values["peak_bytes"] < 1e9
    assert 20e6 < values["peak_upload_bytes"] <= values["peak_bytes"]
    assert sum(card["installed"].values()) == values["installed_bytes"] > 50e6
    assert "CPU time per round" in capsys.readouterr().out
