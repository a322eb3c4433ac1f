"""Finished runs survive in a file, and a damaged file is refused."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedge.bench.federation import journal
from fedge.bench.federation.run import Result
from fedge.bench.federation.setting import Setting
from fedge.errors import ConfigError, DataError

SETTING = Setting(task="digits", split="0.1", method="fedavg", way="float32", seed=0, rounds=2)
RESULT = Result(
    setting=SETTING, n_params=10, n_devices=5, accuracies=(0.5, 1.0), up=7, down=0, cpu_s=0.25
)


def test_what_was_added_is_read_back_and_the_last_of_a_setting_counts(tmp_path: Path) -> None:
    path, other = tmp_path / "r.jsonl", replace(RESULT, setting=replace(SETTING, seed=1))
    for result in (RESULT, other, replace(RESULT, up=8)):
        journal.append(path, result)
    assert journal.read(path) == {SETTING: replace(RESULT, up=8), other.setting: other}


def test_a_file_that_is_not_there_yet_has_no_runs(tmp_path: Path) -> None:
    assert journal.read(tmp_path / "r.jsonl") == {}
    with pytest.raises(ConfigError, match="cannot read"):
        journal.read(tmp_path)
    with pytest.raises(ConfigError, match="cannot write"):
        journal.append(tmp_path / "none" / "r.jsonl", RESULT)


def changed(**changes: object) -> bytes:
    record = {
        "setting": {
            "task": "digits", "split": "0.1", "method": "fedavg", "way": "float32",
            "seed": 0, "rounds": 2,
        },
        "n_params": 10, "n_devices": 5, "accuracies": [0.5, 1.0], "up": 7, "down": 0, "cpu_s": 1,
    }  # fmt: skip
    return json.dumps(record | changes).encode()


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"[]",
        b"null",
        b"[" * 10_000,
        b"\xff\xfe",
        changed()[:-20],
        changed(accuracies=[0.5]),
        changed(accuracies=[0.5, 1.5]),
        changed(accuracies=[0.5, float("nan")]),
        changed(accuracies=[0.5, True]),
        changed(accuracies="ab"),
        changed(up="7"),
        changed(up=-7),
        changed(up=True),
        changed(cpu_s=float("inf")),
        changed(more=1),
        changed(setting=None),
        changed(setting={"task": "digits"}),
    ],
)
def test_a_damaged_line_is_named(line: bytes, tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_bytes(changed() + b"\n" + line + b"\n")
    with pytest.raises(DataError, match=r"r\.jsonl, line 2: expected a finished run"):
        journal.read(path)


@given(content=st.binary(max_size=200))
def test_any_bytes_are_a_run_or_refused(
    content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("journal") / "r.jsonl"
    path.write_bytes(content)
    try:
        found = journal.read(path)
    except DataError:
        return
    assert not found
    assert not content
