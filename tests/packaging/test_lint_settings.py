"""The settings of ruff: a rule is selected or it is not."""

import re
import tomllib
from itertools import chain
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
LINT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]


def family(code: str) -> str:
    """The letters of a rule's code."""
    return re.split(r"\d", code)[0]


def test_nothing_is_selected_and_ignored() -> None:
    assert not set(LINT["select"]) & set(LINT["ignore"])
    for one in (LINT["select"], LINT["ignore"]):
        assert sorted(one) == sorted(set(one))


def test_an_exception_is_one_rule_of_a_family_that_is_selected() -> None:
    """Else nothing would be different without it."""
    for code in LINT["ignore"]:
        assert code != family(code), f"{code}: do not select it"
    for code in chain(LINT["ignore"], *LINT["per-file-ignores"].values()):
        assert any(code.startswith(chosen) for chosen in LINT["select"]), code
