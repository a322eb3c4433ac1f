"""`fedge inspect` on the state directories that real processes have written."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from fedge.cli.main import main
from tests.support import models
from tests.support.aggregator_process import AggregatorProcess
from tests.support.broker import Broker, any_broker
from tests.support.processes import (
    FedgeProcess,
    environment,
    stopping,
    wait_until,
    write_examples,
)

__all__ = ["any_broker"]
pytestmark = pytest.mark.broker


def inspected(path: Path, folder: Path) -> dict[str, Any]:
    target = folder / "facts.json"
    assert main(["inspect", str(path), "--json", str(target)]) == 0, path
    facts: dict[str, Any] = json.loads(target.read_text())
    return facts


def kinds(state: Path, folder: Path) -> dict[str, str]:
    """Of every file, asked one by one, and the same as the directory says of it."""
    whole = inspected(state, folder)
    listed = {one["file"]: one["kind"] for one in whole["files"]}
    files = [path for path in state.rglob("*") if path.is_file()]
    assert sorted(listed) == sorted(str(path.relative_to(state)) for path in files)
    assert "unknown" not in listed.values()
    for path in files:
        kind = inspected(path, folder)["kind"]
        assert kind == listed[str(path.relative_to(state))]
    return listed


def test_every_file_of_both_state_directories_is_known_while_they_work_and_after(
    tmp_path: Path, any_broker: Broker, capsys: pytest.CaptureFixture[str]
) -> None:
    write_examples(tmp_path / "test.npz", seed=6)
    aggregator = AggregatorProcess(
        tmp_path, any_broker.url, models.linear(), rounds=3, strategy="fedadam",
        **{"test-data": tmp_path / "test.npz", "keep-models": 1, "lr": 0.01},
    )  # fmt: skip
    data = write_examples(tmp_path / "data.npz")
    own = {"broker": any_broker.url, "id": "pi-3", "data": data, "state-dir": tmp_path / "device"}
    state = tmp_path / "state"
    aggregator.start("--rounds", "100000")
    device = FedgeProcess("device", tmp_path, own, env=environment(tmp_path))
    try:
        with stopping(device):
            wait_until(lambda: events(tmp_path).count('"event": "round"') > 2, timeout_s=60)
            running = inspected(state / "lock", tmp_path)
            assert running["process_id"] == aggregator.process_id
            for folder in (state, tmp_path / "device"):
                assert "unknown" not in {
                    one["kind"] for one in inspected(folder, tmp_path)["files"]
                }
    finally:
        aggregator.close()
    (state / "models" / ".half.f32.x1y2").write_bytes(b"\x00" * 7)
    found = kinds(state, tmp_path)
    assert found["state.sqlite3"] == "database of an aggregator"
    assert found["artifact.fedge"] == "artifact"
    assert "write-ahead log of a database: changes that are not in it yet" in found.values()
    assert any(name.endswith(".memory") for name in found)
    found = kinds(tmp_path / "device", tmp_path)
    assert found["outbox.sqlite3"] == "database of a device"
    assert {"artifact", "parameters of a model"} <= set(found.values())
    facts = inspected(tmp_path / "events.jsonl", tmp_path)
    assert facts["events"]["round"] >= 3
    assert inspected(state / "lock", tmp_path)["process_id"] is None
    check_whole(state, tmp_path)
    assert "parameters of a model" in capsys.readouterr().out


def events(folder: Path) -> str:
    path = folder / "events.jsonl"
    return path.read_text() if path.exists() else ""


def check_whole(state: Path, folder: Path) -> None:
    """What the directories say of themselves, against what was asked for."""
    facts = inspected(state, folder)
    assert (facts["kind"], facts["job"]) == ("state directory of an aggregator", "default")
    assert facts["artifact_sha256"] == models.linear().sha256
    rounds = [one["round"] for one in facts["models"]]
    assert rounds == [None, *range(1, len(rounds))]
    best = min(facts["models"][1:], key=lambda one: one["loss"])
    kept = {one["round"] for one in facts["models"] if one["kept"]}
    assert {best["round"], rounds[-1]} <= kept  # one more, if it was killed right then
    facts = inspected(folder / "device", folder)
    assert (facts["kind"], facts["device"]) == ("state directory of a device", "pi-3")
    assert [one["job"] for one in facts["jobs"]] == ["default"]
    assert facts["jobs"][0]["residual_values"] == models.linear().n_trainable


def test_damage_is_named_alone_and_in_the_list(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "s" / "models").mkdir(parents=True)
    damaged = tmp_path / "s" / "models" / f"{'ab' * 32}.f32"
    damaged.write_bytes(b"\x00" * 8)
    assert main(["inspect", str(damaged)]) == 8
    assert "its SHA-256 is not the one in its name" in capsys.readouterr().err
    assert main(["inspect", str(tmp_path / "s")]) == 2
    assert "is not the state directory of a device or an aggregator" in capsys.readouterr().err
    (tmp_path / "s" / "state.sqlite3").write_bytes(b"SQLite format 3\0" + bytes(200))
    assert main(["inspect", str(tmp_path / "s")]) == 8
    shutil.rmtree(tmp_path / "s")
    assert main(["inspect", str(tmp_path / "s")]) == 2
