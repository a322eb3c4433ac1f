"""Finished runs survive in a file, and a damaged file is refused."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedge.bench import journal
from fedge.bench.attacks.run import Result as Attacked
from fedge.bench.attacks.setting import CLEAN
from fedge.bench.attacks.setting import Setting as Attack
from fedge.bench.codecs.run import Point
from fedge.bench.codecs.run import Result as Trained
from fedge.bench.codecs.setting import Setting as Codec
from fedge.bench.federation.run import Result
from fedge.bench.federation.setting import Setting
from fedge.errors import ConfigError, DataError

SETTING = Setting(task="digits", split="0.1", method="fedavg", way="float32", seed=0, rounds=2)
RESULT = Result(
    setting=SETTING, n_params=10, n_devices=5, accuracies=(0.5, 1.0), up=7, down=0, cpu_s=0.25
)


ATTACKED = Attacked(
    setting=Attack(task="words", codec="default", rule="mean", attack=CLEAN, lr=0.2),
    accuracy=0.5, backdoor=0.0, curve=(0.1, 0.5), refused=0, dropped=1, clipped=2,
)  # fmt: skip
POINT = Point(round=1, accuracy=0.5, up=10, down=20)
TRAINED = Trained(
    setting=Codec(task="digits", scheme="none", iid=True), target=0.9, n_params=7,
    points=(POINT, replace(POINT, round=2)), reached=POINT,
)  # fmt: skip
FAILED = replace(TRAINED, points=(), reached=None, failure="it diverged")


@pytest.mark.parametrize("result", [RESULT, ATTACKED, TRAINED, FAILED])
def test_a_run_of_any_bench_is_read_back_as_it_was(result: journal.Run, tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    journal.append(path, result)
    assert journal.read(path, type(result)) == {result.setting: result}


@pytest.mark.parametrize(
    "result",
    [
        replace(ATTACKED, accuracy=2.0),
        replace(ATTACKED, curve=(0.5, -0.1)),
        replace(ATTACKED, dropped=-1),
        replace(TRAINED, points=(replace(POINT, accuracy=1.5),)),
        replace(TRAINED, points=(replace(POINT, up=-1),)),
    ],
)
def test_values_that_no_run_has_are_refused(result: journal.Run, tmp_path: Path) -> None:
    journal.append(tmp_path / "r.jsonl", result)
    with pytest.raises(DataError, match=r"r\.jsonl, line 1: expected a finished run"):
        journal.read(tmp_path / "r.jsonl", type(result))


def test_a_run_of_another_bench_is_refused(tmp_path: Path) -> None:
    journal.append(tmp_path / "r.jsonl", ATTACKED)
    with pytest.raises(DataError, match=r"r\.jsonl, line 1: expected a finished run"):
        journal.read(tmp_path / "r.jsonl", Result)


def test_a_line_that_was_cut_off_is_played_again(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    journal.append(path, RESULT)
    whole = path.read_bytes()
    for cut in (1, 40, len(whole) - 1):
        path.write_bytes(whole + whole[:cut])
        assert journal.read(path, Result) == {SETTING: RESULT}
        other = replace(RESULT, setting=replace(SETTING, seed=1))
        journal.append(path, other)
        assert journal.read(path, Result) == {SETTING: RESULT, other.setting: other}
    path.write_bytes(whole[:40])
    assert journal.read(path, Result) == {}
    journal.append(path, RESULT)
    assert path.read_bytes() == whole


def test_what_was_added_is_read_back_and_the_last_of_a_setting_counts(tmp_path: Path) -> None:
    path, other = tmp_path / "r.jsonl", replace(RESULT, setting=replace(SETTING, seed=1))
    for result in (RESULT, other, replace(RESULT, up=8)):
        journal.append(path, result)
    assert journal.read(path, Result) == {SETTING: replace(RESULT, up=8), other.setting: other}


def test_a_file_that_is_not_there_yet_has_no_runs(tmp_path: Path) -> None:
    assert journal.read(tmp_path / "r.jsonl", Result) == {}
    with pytest.raises(ConfigError, match="cannot read"):
        journal.read(tmp_path, Result)
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
        b"[" * (journal.MAX_LINE + 1),
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
        journal.read(path, Result)


@given(content=st.binary(max_size=200))
def test_any_bytes_are_a_run_or_refused(
    content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("journal") / "r.jsonl"
    path.write_bytes(content)
    try:
        found = journal.read(path, Result)
    except DataError:
        return
    assert not found
    assert b"\n" not in content
