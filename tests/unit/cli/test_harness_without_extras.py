"""`python -m firmware_sim` in the demo's environment: without unicorn and pyelftools."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.without import without

ROOT = Path(__file__).parents[3]
EXTRA = ("unicorn", "elftools")


def run(
    folder: Path, *words: str, missing: tuple[str, ...] = EXTRA
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "firmware_sim", *words],
        cwd=ROOT,
        env=without(folder / "site", *missing, env={**os.environ, "PYTHONPATH": str(ROOT)}),
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


def test_boards_are_listed_all_the_same(tmp_path: Path) -> None:
    done = run(tmp_path, "boards")
    assert (done.returncode, done.stderr) == (0, "")
    assert "count: our C and Cython kernels" in done.stdout


def test_doctor_names_what_is_missing(tmp_path: Path) -> None:
    done = run(tmp_path, "doctor", "--json", str(tmp_path / "needs.json"))
    assert (done.returncode, done.stderr) == (1, "")
    for package in ("unicorn", "pyelftools"):
        assert f"  pip install {package}\n" in done.stdout
    needs = {
        need["name"]: need for need in json.loads((tmp_path / "needs.json").read_text())["needs"]
    }
    assert not needs["unicorn"]["is_met"]
    assert needs["unicorn"]["tiers"] == ["count"]


@pytest.mark.parametrize(
    ("words", "missing", "sentence"),
    [
        (["bench"], EXTRA, "needs unicorn and pyelftools, not installed here: pip install unicorn"),
        (["bench"], ("unicorn",), "needs unicorn, not installed here: pip install unicorn"),
        (["build"], EXTRA, "pyelftools, which is not installed: pip install"),
        (["scenario", "--help"], ("onnx",), "'onnx' is not installed here"),
        (["run", "--help"], ("onnx",), "needs onnx: pip install"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    words: list[str], missing: tuple[str, ...], sentence: str, tmp_path: Path
) -> None:
    done = run(tmp_path, *words, missing=missing)
    assert done.returncode == 11
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1
