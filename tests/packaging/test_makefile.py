"""`make` says plainly what a machine lacks, and what it sets up."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.tools import need_tool

ROOT = Path(__file__).parents[2]


def make(folder: Path, *, path: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    words = [f"{name}={value}" for name, value in variables.items()]
    return subprocess.run(
        [need_tool("make"), "demo", f"VENV={folder / 'venv'}", *words],
        cwd=ROOT,
        env={"PATH": path or str(folder)},
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


# A Python whose environments have itself, a pip that keeps a list of its calls, and a `fedge`.
_PYTHON = """#!/bin/sh
echo "$*" >> {calls}
case "$*" in
  "-m venv"*) mkdir -p "$3/bin"; cp "$0" "$3/bin/python"
    printf '#!/bin/sh\\necho fedge "$@"\\n' > "$3/bin/fedge"; chmod +x "$3/bin/fedge" ;;
  *install*) echo "{says}" >&2; exit {code} ;;
esac
"""


def a_whole_python(folder: Path, *, says: str = "", code: int = 0) -> str:
    program = folder / "some-python"
    program.write_text(_PYTHON.format(calls=folder / "calls", says=says, code=code))
    program.chmod(0o755)
    return str(program)


def test_setting_up_is_told_a_line_a_step_and_is_not_done_twice(tmp_path: Path) -> None:
    python, path = a_whole_python(tmp_path), os.environ["PATH"]
    first = make(tmp_path, PYTHON=python, path=path)
    assert first.returncode == 0, first.stderr
    shown = [re.sub(r"\d+ s$", "N s", line) for line in first.stdout.splitlines()]
    assert [line for line in shown if line.startswith("[")] == [
        f"[1/2] virtual environment in {tmp_path / 'venv'} ... N s",
        "[2/2] packages for the demo, and compiling our kernels ... N s",
    ]
    assert shown[-1] == "fedge demo"
    calls = (tmp_path / "calls").read_text()
    assert calls.count("install") == 1
    second = make(tmp_path, PYTHON=python, path=path)
    assert second.stdout.splitlines()[-1] == "fedge demo"
    assert "[" not in second.stdout
    assert (tmp_path / "calls").read_text() == calls


def test_what_pip_says_is_shown_when_it_fails_and_the_next_run_tries_again(tmp_path: Path) -> None:
    python = a_whole_python(tmp_path, says="no space left", code=1)
    for _ in range(2):
        done = make(tmp_path, PYTHON=python, path=os.environ["PATH"])
        assert done.returncode != 0
        assert "no space left" in done.stderr
        assert "failed after" in done.stdout


def test_ci_runs_the_two_commands_of_the_readme_where_nothing_is_installed() -> None:
    blocks = re.findall(r"(?ms)^```sh\n(.*?)^```$", (ROOT / "README.md").read_text())
    commands = [block.strip() for block in blocks[:2]]
    assert commands == ["make demo", "make test"]
    words = " ".join(f'"{command}"' for command in commands)
    assert f"set -- {words}\n" in (ROOT / ".ci" / "bare-root").read_text()
    lines = (ROOT / ".ci" / "run").read_text().splitlines()
    assert {".ci/bare-root", "make test-arm"} <= set(lines)
