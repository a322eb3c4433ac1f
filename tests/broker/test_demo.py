"""The main job, whole: real processes, a real broker, real digits."""

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from fedge.data import read_npz
from fedge.simulation.report import human, reach
from tests.support.broker import Broker
from tests.support.tools import data_file, need_tool

pytestmark = [pytest.mark.broker, pytest.mark.slow, pytest.mark.timeout(300)]


def demo(*words: str, out: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fedge", "demo", "--out", str(out), *words],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


def result_of(done: subprocess.CompletedProcess[str], out: Path) -> dict[str, Any]:
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    result: dict[str, Any] = json.loads((out / "result.json").read_text())
    return result


def processes_of(folder: Path) -> list[str]:
    """Command lines of living processes that mention this folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name == str(os.getpid()):
            continue
        try:
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except (OSError, ValueError):
            continue
        if str(folder) in line:
            found.append(line)
    return found


@pytest.fixture(scope="module")
def run(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[subprocess.CompletedProcess[str], dict[str, Any], Path]:
    out = tmp_path_factory.mktemp("demo") / "sparse"
    done = demo(out=out)
    return done, result_of(done, out), out


@pytest.fixture(scope="module")
def sparse(
    run: tuple[subprocess.CompletedProcess[str], dict[str, Any], Path],
) -> tuple[dict[str, Any], Path]:
    return run[1:]


def test_down_is_what_all_devices_received_and_the_artifact_is_told_apart(
    run: tuple[subprocess.CompletedProcess[str], dict[str, Any], Path],
) -> None:
    """By the devices' own count; a column of what was published is called so."""
    done, result, out = run
    head = next(line for line in done.stdout.splitlines() if line.split()[:1] == ["round"])
    assert "down" not in head.split()
    assert "published" in head.split()
    totals, size = result["totals"], (out / "model.fedge").stat().st_size
    received = sum(device["received_bytes"] for device in result["devices"].values())
    down = totals["downlink_bytes"] + totals["artifact_bytes"]
    assert down <= received <= down + 8 * 20_000  # manifests and replies carry no model
    table = {line[:24].strip(): line[26:] for line in done.stdout.splitlines()}
    assert table["down, to all devices"] == human(totals["downlink_bytes"])
    assert table["artifact, once a device"].startswith(human(totals["artifact_bytes"]))
    assert f"artifact: {human(size)}, which each device downloads once" in done.stdout
    reached = reach(0.95, result["rounds"])
    assert reached is not None
    assert table["95% accuracy"].endswith(f"{human(reached.downlink_bytes)} down")


def test_the_digits_reach_95_percent_for_a_hundredth_of_the_bytes(
    sparse: tuple[dict[str, Any], Path], tmp_path: Path
) -> None:
    """Against float32 both ways; the artifact, which comes once, is in neither sum."""
    words = ["--codec", "none", "--downlink-codec", "none"]
    plain = result_of(demo(*words, out=tmp_path / "plain"), tmp_path / "plain")
    ours = reach(0.95, sparse[0]["rounds"])
    theirs = reach(0.95, plain["rounds"])
    assert ours is not None
    assert theirs is not None
    assert theirs.uplink_bytes / ours.uplink_bytes >= 100
    assert theirs.both_bytes / ours.both_bytes >= 60


def test_every_device_takes_part_in_every_round_and_says_what_it_used(
    sparse: tuple[dict[str, Any], Path],
) -> None:
    result, _ = sparse
    assert [row["devices_accepted"] for row in result["rounds"]] == [8] * 40
    assert result["totals"]["devices_late"] == result["totals"]["refused"] == 0
    for device in result["devices"].values():
        assert device["updates_accepted"] == 40
        assert 2e7 < device["peak_rss_bytes"] < 1e9
        assert 0 < device["cpu_s"] < 120


def test_bytes_of_the_report_are_bytes_that_passed(sparse: tuple[dict[str, Any], Path]) -> None:
    """What devices say they sent holds the updates that the aggregator says it received."""
    result, _ = sparse
    sent = sum(device["sent_bytes"] for device in result["devices"].values())
    up = result["totals"]["uplink_bytes"]
    assert up <= sent <= 1.1 * up + 8 * 2000  # births and wills are sent, and are no updates


def test_models_come_down_as_differences(sparse: tuple[dict[str, Any], Path]) -> None:
    result, out = sparse
    totals = result["totals"]
    assert totals["float32_downlink_bytes"] == 39 * 8 * 4 * result["n_params"]
    assert 8 * (out / "model.fedge").stat().st_size <= totals["artifact_bytes"]
    assert totals["float32_downlink_bytes"] >= 80 * totals["downlink_bytes"]
    assert totals["downlink_bytes"] >= sum(row["downlink_bytes"] for row in result["rounds"])
    for row in result["rounds"][1:]:
        assert row["artifact_bytes"] == 0
        assert 0 < row["downlink_bytes"] < 8 * 4000


def test_the_exported_model_predicts_as_the_last_round_was_measured(
    sparse: tuple[dict[str, Any], Path],
) -> None:
    result, out = sparse
    test = read_npz(out / "data" / "test.npz")
    session = ort.InferenceSession(str(out / "model.onnx"))
    (scores,) = session.run(None, {"x": test.inputs["x"]})
    accuracy = float(np.mean(scores.argmax(axis=1) == test.targets))
    assert accuracy == pytest.approx(result["rounds"][-1]["accuracy"], abs=1e-9)


def test_a_picture_and_plain_lines_are_left(sparse: tuple[dict[str, Any], Path]) -> None:
    _, out = sparse
    assert (out / "accuracy.png").read_bytes().startswith(b"\x89PNG")
    assert processes_of(out) == []


@pytest.mark.parametrize("kind", ["iotcore", "mosquitto"])
def test_the_demo_runs_on_the_broker_asked_for(tmp_path: Path, kind: str) -> None:
    if kind == "mosquitto":
        need_tool(kind)
    words = ["--rounds", "2", "--devices", "3", "--broker", kind]
    result = result_of(demo(*words, out=tmp_path / "run"), tmp_path / "run")
    assert result["versions"]["broker"].startswith(f"{kind} ")
    assert "MQTT 5" in (tmp_path / "run" / "logs" / "device-1.log").read_text()


def test_the_demo_runs_over_mqtt_3_1_1(tmp_path: Path, old_broker: Broker) -> None:
    words = ["--rounds", "2", "--devices", "3", "--broker", old_broker.url]
    done = demo(*words, out=tmp_path / "run")
    result = result_of(done, tmp_path / "run")
    assert result["versions"]["broker"] == "yours"
    assert "MQTT 3.1.1" in (tmp_path / "run" / "logs" / "device-1.log").read_text()
    assert [row["devices_accepted"] for row in result["rounds"]] == [3, 3]
    assert "\x1b" not in done.stdout  # piped: plain lines


def test_ctrl_c_stops_everything_and_tells_what_there_is(tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = [sys.executable, "-m", "fedge", "demo", "--rounds", "5000", "--out", str(out)]
    with subprocess.Popen(
        words,
        stdout=subprocess.PIPE,
        start_new_session=True,
        # Whoever starts the tests in the background of a shell has them ignore it.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.split()[:1] == [b"2"]:
                break
        assert len(processes_of(out)) >= 10  # demo, broker, aggregator, eight devices
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does it
        said = process.stdout.read().decode()
        assert process.wait(30) == 130
    assert "stopped: here is what there is so far" in said
    assert "final test accuracy" in said
    result = json.loads((out / "result.json").read_text())
    assert not result["is_whole"]
    rows = result["rounds"]
    assert len(rows) >= 2
    assert [row["round"] for row in rows] == list(range(1, len(rows) + 1))
    assert all(row["downlink_bytes"] > 0 for row in rows)  # devices told before they left
    assert (out / "accuracy.png").read_bytes().startswith(b"\x89PNG")
    assert ort.InferenceSession(str(out / "model.onnx")).get_inputs()[0].name == "x"
    until = time.monotonic() + 5
    while processes_of(out) and time.monotonic() < until:
        time.sleep(0.1)
    assert processes_of(out) == []


@pytest.mark.data
def test_the_users_of_wisdm_are_devices_and_missing_values_are_no_obstacle(tmp_path: Path) -> None:
    data = data_file("wisdm/wisdm.npz")
    done = demo("--data", str(data), "--rounds", "20", out=tmp_path / "run")
    result = result_of(done, tmp_path / "run")
    assert result["n_devices"] == 36
    majority = 0.384  # the share of the largest class
    assert result["rounds"][-1]["accuracy"] > majority + 0.15


def test_targets_of_a_hundred_are_learned_at_the_default_rate(tmp_path: Path) -> None:
    """A linear law of three features and a deviation of 5, which is as good as it gets: 25."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(800, 5)).astype(np.float32)
    y = np.clip(x @ [40, -30, 20, 0, 0] + 5 * rng.normal(size=800), -100, 100)
    np.savez(tmp_path / "data.npz", x=x, y=y.astype(np.float32))
    done = demo("--data", str(tmp_path / "data.npz"), "--rounds", "25", out=tmp_path / "run")
    result = result_of(done, tmp_path / "run")
    test = read_npz(tmp_path / "run" / "data" / "test.npz")
    last = result["rounds"][-1]
    assert last["devices_accepted"] == result["n_devices"]
    assert last["loss"] < 0.15 * float(np.var(test.targets))
    session = ort.InferenceSession(str(tmp_path / "run" / "model.onnx"))
    (found,) = session.run(None, {"x": test.inputs["x"]})
    assert np.mean((found.ravel() - test.targets) ** 2) == pytest.approx(last["loss"], rel=1e-3)
    assert "accuracy" not in done.stdout.split("\n\n")[-1].replace("accuracy.png", "")


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["--data", "nowhere.npz"], 2, "nowhere.npz"),
        (["--codec", "topk:2/sign"], 2, "codec"),
        (["--strategy", "best"], 2, "strategy"),
        (["--model", "broken.onnx"], 5, "broken.onnx"),
        (["--lr", "1000", "--devices", "2"], 10, "smaller lr"),
        (["--broker", "mqtt://127.0.0.1:9", "--rounds", "1"], 7, "nobody"),
    ],
)
def test_a_wrong_word_is_answered_by_one_sentence(
    words: list[str], code: int, sentence: str, tmp_path: Path
) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"not a model")
    words = [str(tmp_path / word) if word.endswith("onnx") else word for word in words]
    done = demo(*words, out=tmp_path / "run")
    assert done.returncode == code, done.stderr
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1
    assert processes_of(tmp_path / "run") == []
