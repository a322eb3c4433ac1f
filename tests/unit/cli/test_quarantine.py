"""`fedge quarantine`: what it says, what it stores, and what it refuses in one sentence."""

import json
from pathlib import Path
from typing import Any

import pytest

from fedge.cli.main import main
from tests.support.aggregator_by_hand import Bench
from tests.support.sent_values import events, sending

NAMES = ("ann", "bob", "cid", "dan", "eve", "fay")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Of a job of three rounds, in each of which eve sent ten times the opposite."""
    bench = Bench(tmp_path, wait_for=6, quorum=6, rounds=3)
    bench.add(*NAMES, payload=sending({"eve": -10.0}))
    bench.settle(n_steps=200)
    bench.aggregator.close()
    return tmp_path / "state"


def run(state: Path, *words: str) -> dict[str, Any]:
    file = state.parent / "out.json"
    assert main(["quarantine", *words, "--state-dir", str(state), "--json", str(file)]) == 0
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def listed(state: Path) -> dict[str, dict[str, Any]]:
    return {one["device"]: one for one in run(state, "list")["devices"]}


def test_list_shows_who_is_out_and_why(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    eve = listed(state)["eve"]
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == [
        "device", "state", "by", "since_round", "n_suspect", "n_rounds", "reason",
    ]  # fmt: skip
    assert lines[1].split(maxsplit=6) == ["eve", "quarantine", "rule", "3", "3", "3", eve["reason"]]
    assert lines[2:] == ["1 of 6 devices in quarantine"]
    assert eve["reason"].startswith("suspect in 3 of its last 5 rounds, now with a norm 10 times")
    assert eve["last"]["norm"] == pytest.approx(10)
    assert eve["last"]["cosine"] == pytest.approx(-1)
    assert (eve["n_long"], eve["n_opposed"], eve["n_clipped"]) == (3, 3, 3)


def test_list_all_shows_every_device(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(run(state, "list", "--all")["devices"]) == 6
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:7]] == list(NAMES)


def test_add_release_and_auto(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    added = run(state, "add", "bob", "--reason", "its sensor is wet")
    assert (added["state"], added["since_round"], added["is_known"]) == ("quarantine", 3, True)
    assert capsys.readouterr().out == (
        "bob: its updates no longer count, from the next round that closes\n"
    )
    bob = listed(state)["bob"]
    assert (bob["state"], bob["by"], bob["reason"]) == ("quarantine", "hand", "its sensor is wet")
    run(state, "release", "eve")
    eve = listed(state)["eve"]
    assert (eve["state"], eve["by"]) == ("exempt", "hand")
    assert (eve["n_rounds"], eve["n_suspect"]) == (3, 3)  # what was found stays
    capsys.readouterr()
    run(state, "auto", "bob")
    assert capsys.readouterr().out == "bob: left to the rule; before, by hand: its sensor is wet\n"
    assert listed(state)["bob"]["state"] == "counts"


def test_an_id_that_nobody_has_seen_is_taken_but_said(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not run(state, "add", "evee", "--reason", "x")["is_known"]
    *_, last = capsys.readouterr().out.splitlines()
    assert last == (
        "evee has not been in any round of this job that compared devices; is it the id?"
    )


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["add"], "quarantine add: expected the id of a device, found none"),
        (["add", "a b", "--reason", "x"], "of 1 to 64 of A-Z a-z 0-9 _ -, found 'a b'"),
        (["add", "eve"], "quarantine add: expected --reason TEXT, found none"),
        (["add", "eve", "--reason", "x" * 201], "a reason of at most 200 characters, found 201"),
        (["auto", "ann"], "nothing was decided about device ann in"),
        (["list", "eve"], "quarantine list takes no device, found 'eve'"),
    ],
)
def test_what_it_cannot_do_is_one_sentence(
    state: Path, capsys: pytest.CaptureFixture[str], words: list[str], sentence: str
) -> None:
    assert main(["quarantine", *words, "--state-dir", str(state)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("fedge: ")
    assert sentence in line


def test_a_folder_that_is_no_state_directory_is_left_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["quarantine", "list", "--state-dir", str(tmp_path)]) == 8
    assert "is not the state directory of an aggregator" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_reason_cannot_forge_a_line_of_the_list(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(state, "add", "bob", "--reason", "x\nmal quarantine rule")
    run(state, "list")
    assert len(capsys.readouterr().out.splitlines()) == 1 + 4


def test_what_a_stopped_aggregator_was_told_holds_when_it_starts_again(
    state: Path, tmp_path: Path
) -> None:
    run(state, "add", "bob", "--reason", "x")
    run(state, "release", "eve")
    bench = Bench(tmp_path, wait_for=6, quorum=6, rounds=4)
    bench.add(*NAMES, payload=sending({}))
    bench.settle(n_steps=200)
    assert [one["device"] for one in events(bench)[-1]["quarantined"]] == ["bob"]
    bench.aggregator.close()
