"""Runs with hostile devices, through the real codecs and an aggregator's own checks."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fedge.bench.attacks.run import Result, run
from fedge.bench.attacks.setting import CLEAN, UNBOUNDED, Setting
from fedge.cli.main import main
from fedge.data import Dataset, write_npz

N_CLASSES = 4


@pytest.fixture(scope="module")
def blobs(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Clouds of points around four centres; where a backdoor marks them there is only noise."""
    rng = np.random.default_rng(0)
    y = rng.integers(N_CLASSES, size=600)
    centres = 3 * rng.normal(size=(N_CLASSES, 12)) * (np.arange(12) < 8)
    x = centres[y] + rng.normal(scale=2, size=(600, 12))
    path = tmp_path_factory.mktemp("blobs") / "blobs.npz"
    write_npz(path, Dataset({"x": x.astype(np.float32)}, y))
    return str(path)


def setting(blobs: str, **changes: object) -> Setting:
    one = Setting(
        task=blobs, codec="default", rule="mean", attack=CLEAN, rounds=4, local_steps=2, n_devices=5
    )
    return replace(one, **changes)  # type: ignore[arg-type]


def play(blobs: str, **changes: object) -> Result:
    return run(setting(blobs, **changes))


@pytest.mark.parametrize("attack", ["nan", "inf"])
@pytest.mark.parametrize("codec", ["default", "float32"])
def test_numbers_that_are_not_finite_are_refused_from_both_in_every_round(
    blobs: str, attack: str, codec: str
) -> None:
    assert play(blobs, attack=attack, codec=codec).refused == 2 * 4
    assert play(blobs, attack=attack, codec=codec, rule=UNBOUNDED).refused == 2 * 4


def test_the_bounds_shorten_or_drop_noise_and_unbounded_lets_it_in(blobs: str) -> None:
    bounded = play(blobs, attack="gaussian", codec="float32")
    # In the fourth round both devices are in quarantine, where nothing is bounded any more.
    assert bounded.dropped + bounded.clipped == 2 * 3
    free = play(blobs, attack="gaussian", codec="float32", rule=UNBOUNDED)
    assert (free.dropped, free.clipped) == (0, 0)


def test_bounds_can_be_given(blobs: str) -> None:
    assert play(blobs, attack="sign_flip", norm_bound=1.0).clipped >= 2 * 4
    assert play(blobs, attack="sign_flip", norm_bound=100.0).clipped == 0
    loose, tight = (play(blobs, attack="heavy", weight_bound=bound) for bound in (1e6, 1.0))
    assert loose.curve != tight.curve


def test_a_clean_run_refuses_nobody_and_does_not_depend_on_who_would_be_hostile(blobs: str) -> None:
    clean = play(blobs)
    assert (clean.refused, len(clean.curve)) == (0, 4)
    assert clean.accuracy == pytest.approx(sum(clean.curve) / 4)
    assert play(blobs, n_hostile=1).curve == clean.curve


def test_the_same_setting_gives_the_same_run(blobs: str) -> None:
    assert play(blobs, attack="gaussian") == play(blobs, attack="gaussian")


def test_the_default_codec_and_float32_are_different_runs(blobs: str) -> None:
    assert play(blobs).curve != play(blobs, codec="float32").curve


def test_a_replacement_gives_marked_examples_to_the_attacker(blobs: str) -> None:
    changes = {"codec": "float32", "rule": UNBOUNDED, "rounds": 10}
    assert play(blobs, attack="replacement", **changes).backdoor > 0.8
    assert play(blobs, **changes).backdoor < 0.5


def command(blobs: str, folder: Path, *more: str) -> list[str]:
    return [
        *("bench", "attacks", "--data", blobs, "--codecs", "default", "--devices", "5"),
        *("--rounds", "2", "--local-steps", "1", "--resume", str(folder / "runs.jsonl")),
        *("--json", str(folder / "r.json"), *more),
    ]


def test_the_command_plays_on_two_processes_and_resumes(
    blobs: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command(blobs, tmp_path, "--attacks", "x10"), "--jobs", "2"]) == 0
    first = capsys.readouterr()
    assert "4/4 blobs, default codec, " in first.err
    assert "blobs, default codec, 2 of 5 devices hostile, 2 rounds" in first.out
    picture = tmp_path / "r.png"
    more = ("--attacks", "x10", "backdoor", "--plot", str(picture))
    assert main(command(blobs, tmp_path, *more)) == 0
    again = capsys.readouterr()
    assert "4 of 6 runs are in " in again.err
    assert picture.read_bytes()[:4] == b"\x89PNG"
    found = json.loads((tmp_path / "r.json").read_text())
    assert len(found["runs"]) == 6
    assert {run["setting"]["task"] for run in found["runs"]} == {"blobs.npz"}
    assert main(command(blobs, tmp_path, "--attacks", "zero", "x10", "--finished")) == 0
    finished = capsys.readouterr()
    assert "4 of 6 runs are in " in finished.err
    assert "zero" not in finished.out


def test_the_command_says_what_each_attack_does(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "attacks", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 17
    assert lines[1].split(maxsplit=1) == ["sign_flip", "minus the honest mean"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--attacks", "x11"], "fedge: unknown attack 'x11': use none, sign_flip, "),
        (["--rules", "meen"], "fedge: unknown strategy 'meen': the rules are "),
        (["--hostile", "10"], "fedge: --hostile must be 1 to 9, not 10"),
        (["--tasks", "chess"], "fedge: unknown task 'chess': use digits, "),
        (["--finished"], "fedge: --finished needs --resume FILE, with the runs that are finished"),
    ],
)
def test_a_wrong_option_is_refused_in_one_sentence(
    words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "attacks", *words]) != 0
    assert capsys.readouterr().err.startswith(sentence)


def test_without_onnx_the_command_names_what_to_install() -> None:
    code = (
        "import sys; sys.modules['onnx'] = None; from fedge.cli.main import main;"
        " sys.exit(main(['bench', 'attacks']))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True
    )
    assert ended.returncode == 11
    assert ended.stderr == "fedge: fedge bench attacks needs onnx: pip install 'fedge[bench]'\n"
