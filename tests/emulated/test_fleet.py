"""The fleet scenario: ARM programs and a native one in one job, and the check that can fail."""

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedge.errors import ConfigError
from fedge.transport.url import LOOPBACK
from firmware_sim.boards import Board
from firmware_sim.cli.main import main
from firmware_sim.errors import EmulationError
from firmware_sim.fleet import native
from firmware_sim.fleet.check import compare
from firmware_sim.tiers.base import Job, Need, Tell
from firmware_sim.tiers.process import Process
from firmware_sim.tiers.user import TIER
from tests.support.boards import ready
from tests.support.tools import need_package, need_tool

_SHORT = ["--rounds", "1", "--local-steps", "2", "--codec", "topk:0.01/int8"]  # int8 rolls dice


@pytest.fixture(scope="module")
def arm_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run with a device of each kind."""
    need_tool("mosquitto")
    need_package("sklearn")
    for name in ("zero2w", "armv7", "zerow"):
        ready(TIER, name)
    folder = tmp_path_factory.mktemp("fleet") / "run"
    words = ["run", "--boards", "zero2w,armv7,zerow,host", *_SHORT, "--out", str(folder)]
    assert main([*words, "--json", str(folder.parent / "result.json")]) == 0
    return folder


@pytest.mark.emulated
def test_devices_of_all_kinds_train_one_model_together(arm_run: Path) -> None:
    result = json.loads((arm_run.parent / "result.json").read_text())
    devices = result["devices"]
    machines = {name: row["machine"] for name, row in devices.items() if name != "host-1"}
    assert machines == {"zero2w-1": "aarch64", "armv7-1": "armv7l", "zerow-1": "armv6l"}
    assert {name: row["n_cores"] for name, row in devices.items() if row["board"]} == {
        "zero2w-1": 4,
        "armv7-1": 4,
        "zerow-1": 1,
    }
    engines = {name: row["engine"] for name, row in devices.items()}
    assert engines.pop("zerow-1") == "reference"
    assert set(engines.values()) == {"onnxruntime"}
    assert [row["updates_accepted"] for row in devices.values()] == [1, 1, 1, 1]
    assert result["rounds"][0]["devices_accepted"] == 4
    assert result["accuracy"] == result["rounds"][-1]["accuracy"]
    # An emulator's time must not be taken for a board's.
    assert all(("emulator_wall_s" in row) is (row["board"] is not None) for row in devices.values())


@pytest.mark.emulated
def test_the_board_without_onnxruntime_says_which_engine_it_takes_before_anything_else(
    arm_run: Path,
) -> None:
    first, second = (arm_run / "devices/zerow-1/program.log").read_text().splitlines()[:2]
    assert "WARNING device zerow-1: onnxruntime is not available" in first
    assert "reference engine" in first
    assert "connected to" in second


@pytest.mark.emulated
def test_payloads_and_models_have_the_bits_of_a_native_fleet(arm_run: Path) -> None:
    check = json.loads((arm_run.parent / "result.json").read_text())["check"]
    assert check["differences"] == []
    assert (check["n_payloads"], check["n_models"]) == (4, 2)
    sent = {
        record.parent.parent.name: np.load(record)["payload"].tobytes()
        for record in arm_run.glob("devices/*/records/round-*.npz")
    }
    assert check["payload_bytes"] == sum(len(payload) for payload in sent.values())
    assert len(set(sent.values())) == 4  # each of its own: they were not all compared with one


@pytest.mark.emulated
def test_one_other_bit_in_a_payload_is_found_and_named(arm_run: Path, tmp_path: Path) -> None:
    copied = tmp_path / "run"
    shutil.copytree(arm_run, copied)
    flip(copied / "devices/armv7-1/records/round-001.npz", "payload", at=17)
    (difference,) = compare(copied, copied / "native").differences
    assert difference.startswith("armv7-1, round 001: payload: byte 17 of ")
    assert difference.endswith("; bytes that differ: 1")


@pytest.mark.emulated
def test_one_other_bit_in_a_residual_is_found_and_named(arm_run: Path, tmp_path: Path) -> None:
    copied = tmp_path / "run"
    shutil.copytree(arm_run, copied)
    flip(copied / "native/devices/zero2w-1/records/round-001.npz", "after", at=4000)
    (difference,) = compare(copied, copied / "native").differences
    assert difference.startswith("zero2w-1, round 001: residual after it: byte 4000 of ")


@pytest.mark.emulated
def test_a_record_that_is_missing_is_a_difference(arm_run: Path, tmp_path: Path) -> None:
    copied = tmp_path / "run"
    shutil.copytree(arm_run, copied)
    (copied / "native/devices/zero2w-1/records/round-001.npz").unlink()
    assert compare(copied, copied / "native").differences == (
        "zero2w-1, round 001: this machine's fleet has no such record",
    )
    with pytest.raises(EmulationError, match="no records to compare"):
        compare(tmp_path, copied)


def flip(record: Path, name: str, *, at: int) -> None:
    """The record with the lowest bit of one byte of one array turned over."""
    with np.load(record) as saved:
        arrays = dict(saved)
    array = arrays[name].copy()
    array.view(np.uint8)[at] ^= 1
    np.savez(record, **{**arrays, name: array})


class Astray:
    """A tier whose boards go wrong in a way of their own; it takes no emulator."""

    name = "astray"
    runs = may_claim = may_not_claim = "nothing"
    loopback = LOOPBACK

    def __init__(self, folder: Path, fault: str) -> None:
        (folder / "sitecustomize.py").write_text(fault)  # Python runs it first
        self._path = [str(folder), *(path for path in sys.path if path)]

    def refusal(self, board: Board) -> str | None:
        return None

    def needs(self, board: Board) -> list[Need]:
        return []

    def prepare(self, board: Board, tell: Tell) -> None:
        pass

    def start(self, board: Board, job: Job) -> Process:
        environment = {**job.environment, "PYTHONPATH": ":".join(self._path)}
        return native.start(replace(job, environment=environment))


_OTHER_DELTA = """
from fedge.codecs import sparse
encode = sparse.TopK.encode
def astray(self, delta, residual, rng, *, stamp):
    return encode(self, delta * (1 + 2**-8), residual, rng, stamp=stamp)
sparse.TopK.encode = astray
"""


def test_a_board_that_computes_other_bits_fails_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    need_tool("mosquitto")
    need_package("sklearn")
    tier = Astray(tmp_path, _OTHER_DELTA)
    monkeypatch.setattr("firmware_sim.fleet.run.running_tier", lambda _: tier)
    out = tmp_path / "run"
    assert main(["run", "--boards", "pi4,host", *_SHORT, "--out", str(out)]) == 12
    complaints = capsys.readouterr().err.splitlines()
    assert complaints[0].startswith("pi4-1, round 001: payload: byte ")
    assert complaints[1].startswith("pi4-1, round 001: residual after it: byte ")
    assert complaints[2].startswith("model after round 1: byte ")
    assert complaints[3] == "FAILED: of 2 payloads" + complaints[3].partition("payloads")[2]
    assert len(complaints) == 4
    check: dict[str, Any] = json.loads((out / "result.json").read_text())["check"]
    assert check["differences"] == complaints[:3]


def test_a_device_that_ends_too_soon_ends_the_run_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    need_tool("mosquitto")
    need_package("sklearn")
    tier = Astray(tmp_path, "import os; print('no such sensor', flush=True); os._exit(3)")
    monkeypatch.setattr("firmware_sim.fleet.run.running_tier", lambda _: tier)
    out = tmp_path / "run"
    assert main(["run", "--boards", "host,pi4", *_SHORT, "--out", str(out)]) == 12
    complaint = capsys.readouterr().err
    assert complaint.startswith("firmware_sim: pi4-1 stopped early: no such sensor (all of it is")
    assert str(out / "devices/pi4-1/program.log") in complaint


def test_a_folder_with_something_in_it_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").touch()
    assert main(["run", "--boards", "host", "--out", str(tmp_path)]) == ConfigError.exit_code
    assert "is not empty: name a new folder" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_tier_that_only_counts_cannot_run_a_fleet(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["run", "--tier", "count"])
    assert "invalid choice: 'count'" in capsys.readouterr().err
