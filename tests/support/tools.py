"""What a test needs from the machine; if it is missing, the test is skipped, or fails under CI."""

import importlib.util
import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

UNAVAILABLE = "unavailable: "  # how an ArchiveError starts


def data_file(name: str) -> Path:
    """A file in the development data folder, which the variable FEDGE_DATA names."""
    folder = os.environ.get("FEDGE_DATA")
    if not folder:
        missing(f"FEDGE_DATA is not set, so there is no {name}")
    path = Path(folder) / name
    if not path.exists():
        missing(f"FEDGE_DATA has no {name}")
    return path


def need_tool(name: str) -> str:
    """The path of a program that the test runs."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        missing(f"{name} is not installed")
    return found


def need_package(name: str) -> None:
    """A Python package that the test uses."""
    if importlib.util.find_spec(name) is None:
        missing(f"the package {name} is not installed")


def unavailable(sentence: str) -> NoReturn:
    """Skip for an archive's fault, even under FEDGE_REQUIRE: nothing on this machine can fix it."""
    pytest.skip(sentence)


def missing(what: str) -> NoReturn:
    """Skip for this reason; under FEDGE_REQUIRE, as in CI, fail."""
    if os.environ.get("FEDGE_REQUIRE"):
        pytest.fail(f"{what}, and FEDGE_REQUIRE forbids skipping")
    pytest.skip(what)
