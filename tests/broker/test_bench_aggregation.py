"""`fedge bench aggregation` as a person runs it, with a small fleet."""

import json
from pathlib import Path

import pytest

from fedge.bench.aggregation import devices
from fedge.bench.aggregation.devices import Updates
from fedge.cli.main import main
from fedge.transport.programs import BrokerKind
from tests.support.tools import need_tool

pytestmark = pytest.mark.broker


@pytest.mark.parametrize("kind", ["iotcore", "mosquitto"])
def test_every_update_is_accepted_and_every_figure_is_there(
    kind: BrokerKind, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if kind == "mosquitto":
        need_tool("mosquitto")
    path = tmp_path / "figures.json"
    words = ["bench", "aggregation", "--devices", "50", "600", "--updates", "600"]
    assert main([*words, "--broker", kind, "--json", str(path)]) == 0
    small, large = json.loads(path.read_text())["aggregation"]
    for one, n_devices in ((small, 50), (large, 600)):
        assert (one["n_devices"], one["n_updates"]) == (n_devices, 600)
        assert 500 < one["update_bytes"] < 700
        assert one["updates_per_s"] > 0
        assert 0 < one["birth_us"] < 1e5
        assert 0 < one["close_us"] < 1e5
        assert one["disk_bytes"] > n_devices * one["update_bytes"]
        assert 20e6 < one["peak_bytes"] < 500e6
        assert (one["instructions"] is None) == ("instructions" in one["notes"])
        stages = one["stages_us"]
        threads = sum(us for name, us in stages.items() if "thread" in name)
        rooms = sum(us for name, us in stages.items() if name.startswith(" "))
        assert rooms == pytest.approx(stages["main thread"], rel=0.01)
        # The kernel tells the network thread's time in ticks of 10 ms, each side of every round.
        n_rounds = one["n_updates"] / n_devices
        assert threads == pytest.approx(one["cpu_us"], rel=0.1, abs=4e4 * n_rounds**0.5 / 600)
    out = capsys.readouterr().out
    assert "50 devices" in out
    assert "CPU time per update" in out


def test_a_model_that_is_not_the_mean_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mean = Updates.mean
    monkeypatch.setattr(Updates, "mean", lambda self, n: 1.01 * mean(self, n))
    assert main(["bench", "aggregation", "--devices", "20", "--updates", "20"]) == 1
    assert "is not the mean of its updates" in capsys.readouterr().err


def test_a_fleet_that_gets_no_answer_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(devices, "_PATIENCE_S", 2.0)
    monkeypatch.setattr(devices.Devices, "_hear", lambda *_: None)
    assert main(["bench", "aggregation", "--devices", "3", "--updates", "3"]) == 1
    assert "no news for 2 s while waiting for the aggregator to appear" in capsys.readouterr().err


def test_a_codec_whose_updates_need_several_messages_is_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["bench", "aggregation", "--devices", "2", "--updates", "2", "--codec", "none"]
    assert main(words) == 2
    assert "expected a codec whose updates take at most 61440 bytes" in capsys.readouterr().err
