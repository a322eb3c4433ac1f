"""What tests share lies in tests/support, and no test hangs on another test's file."""

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
# Rooms whose programs `make` runs or a board does; they are no fixtures.
PROGRAMS = {"docs", "emulated", "fuzz", "golden"}


def test_a_file_outside_of_support_is_a_test_or_a_program() -> None:
    files = (path.relative_to(TESTS) for path in TESTS.rglob("*.py"))
    rooms = [path for path in files if path.parts[0] not in {"support", *PROGRAMS}]
    known = {"__init__.py", "conftest.py"}
    strays = [path for path in rooms if path.name not in known and path.name[:5] != "test_"]
    assert not strays, "what tests share lies in tests/support"


def test_no_test_imports_from_the_file_of_another() -> None:
    pattern = re.compile(r"^\s*from (tests(?:\.\w+)*\.test_\w+) import", re.MULTILINE)
    found = [
        (path.name, module)
        for path in TESTS.rglob("*.py")
        for module in pattern.findall(path.read_text())
        if module.rpartition(".")[2] != path.stem  # a child process of its own
    ]
    assert not found, "what tests share lies in tests/support"
