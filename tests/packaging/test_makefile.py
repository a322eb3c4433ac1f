"""`make` says plainly what a machine lacks, before it does anything."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.tools import need_tool

ROOT = Path(__file__).parents[2]


def make(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    words = [f"{name}={value}" for name, value in variables.items()]
    return subprocess.run(
        [need_tool("make"), "demo", f"VENV={folder / 'venv'}", *words],
        cwd=ROOT,
        env={"PATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def a_python(folder: Path, *, refuses: str) -> str:
    """An interpreter that passes every question but the one with this word in it."""
    program = folder / "some-python"
    program.write_text(f'#!/bin/sh\ncase "$*" in *{refuses}*) exit 1;; esac\n')
    program.chmod(0o755)
    return str(program)


@pytest.mark.parametrize(
    ("refuses", "sentence"),
    [
        ("version_info", "Python 3.11 or newer is needed"),
        ("ensurepip", "the venv module is not installed: sudo apt install python3-venv"),
        ("Python.h", "the Python headers are not installed: sudo apt install python3-dev"),
    ],
)
def test_what_python_lacks_is_named(refuses: str, sentence: str, tmp_path: Path) -> None:
    done = make(tmp_path, PYTHON=a_python(tmp_path, refuses=refuses))
    assert done.returncode != 0
    assert sentence in done.stderr


def test_no_python_is_named(tmp_path: Path) -> None:
    done = make(tmp_path, PYTHON="python-of-nowhere")
    assert done.returncode != 0
    assert "python-of-nowhere is not installed" in done.stderr


def test_no_compiler_is_named(tmp_path: Path) -> None:
    """With a PATH that leads nowhere there is none."""
    done = make(tmp_path, PYTHON=sys.executable)
    assert done.returncode != 0
    assert "no C compiler: sudo apt install gcc" in done.stderr
    assert not (tmp_path / "venv").exists()
