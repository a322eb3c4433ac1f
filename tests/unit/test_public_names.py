"""`import fedge`: every promised name, and none of the weight."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import fedge

HEAVY = ["numpy", "onnxruntime", "onnx", "paho", "cbor2", "sqlite3"]


@pytest.mark.parametrize("name", fedge.__all__)
def test_every_name_that_is_promised_is_there(name: str) -> None:
    assert getattr(fedge, name) is not None
    assert name in dir(fedge)


def test_what_type_checkers_see_is_what_is_promised() -> None:
    tree = ast.parse(Path(str(fedge.__file__)).read_text())
    imports = [
        alias.asname
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname
    ]
    assert sorted(imports) == sorted(fedge.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        _ = fedge.nonsense


def test_import_loads_nothing_heavy() -> None:
    program = f"import sys, fedge; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_the_trainer_loads_onnxruntime_only_when_it_trains() -> None:
    program = "import sys; from fedge import Trainer, Plan; print('onnxruntime' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"
