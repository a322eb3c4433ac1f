"""Which engine trains: onnxruntime, or another one with a note, never silently."""

import subprocess
import sys
from pathlib import Path

import pytest

from fedge.training.engines import ENGINES, Choice, EngineName, choose
from tests.support.processes import environment
from tests.support.without import without

_PROGRAM = """
import sys
from fedge.errors import FedgeError
from fedge.training.engines import choose
try:
    {code}
except FedgeError as error:
    print(error)
    sys.exit(error.exit_code)
print("loaded", *sorted({{"onnx.reference", "onnxruntime"}} & set(sys.modules)))
"""


def run(code: str, folder: Path, *missing: str) -> tuple[int, str]:
    """Exit code and what was printed, in an environment that lacks some packages."""
    env = without(folder / "site", *missing, env=environment(folder))
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM.format(code=code)],
        env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout


@pytest.mark.parametrize("engine", ENGINES)
def test_an_engine_asked_for_is_used_without_a_note(engine: EngineName) -> None:
    assert choose(engine) == Choice(engine, note=None)


def test_onnxruntime_is_preferred_and_onnx_is_not_loaded_then(
    tmp_path: Path,
) -> None:
    assert run("print(choose('auto'))", tmp_path, "onnx") == (
        0,
        "Choice(name='onnxruntime', note=None)\nloaded onnxruntime\n",
    )


def test_without_onnxruntime_the_reference_is_used_with_a_note_on_why_and_at_what_cost(
    tmp_path: Path,
) -> None:
    code, said = run("print(choose('auto').note)", tmp_path, "onnxruntime")
    assert code == 0
    note, loaded = said.splitlines()
    assert "No module named 'onnxruntime'" in note
    assert "times as long" in note
    assert loaded == "loaded onnx.reference"


def test_without_any_engine_the_error_names_both(tmp_path: Path) -> None:
    code, said = run("choose('auto')", tmp_path, "onnxruntime", "onnx")
    assert code == 11
    (sentence,) = said.splitlines()
    assert "No module named 'onnxruntime'" in sentence
    assert "No module named 'onnx'" in sentence


def test_a_missing_engine_that_was_asked_for_is_not_replaced(tmp_path: Path) -> None:
    code, said = run("choose('onnxruntime')", tmp_path, "onnxruntime")
    assert (code, len(said.splitlines())) == (11, 1)


def test_a_graph_never_switches_engines_by_itself(tmp_path: Path) -> None:
    code, said = run(
        "from fedge.training.graphs import TrainGraph; from tests.support import models;"
        " TrainGraph(models.linear(), 1)",
        tmp_path,
        "onnxruntime",
    )
    assert code == 11
    assert "pip install onnxruntime, or use the reference engine" in said
