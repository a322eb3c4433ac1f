"""A kernel, its twin and their test share a stem, and every kernel has a twin of its name."""

import importlib
import inspect
import re
from pathlib import Path
from types import FunctionType

import pytest

from fedge import _kernels
from fedge._kernels import reference

HERE = Path(__file__).parent
KERNELS = HERE.parents[1] / "fedge" / "_kernels"
STEMS = sorted(path.stem for path in KERNELS.glob("*.pyx"))
# What several modules include, with the twins of that where they share it too.
SHARED = {path.stem for path in KERNELS.glob("*.pxd")} - set(STEMS)
HEADERS_ALONE = {"clones", "lanes"}  # C that Cython cannot express, for several modules


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.name != "__pycache__"}


def _kernels_of(stem: str) -> list[str]:
    source = (KERNELS / f"{stem}.pyx").read_text()
    return sorted(re.findall(r"^def (\w+)\(", source, re.MULTILINE))


def _twins_of(stem: str) -> list[str]:
    module = importlib.import_module(f"fedge._kernels.reference.{stem}")
    return sorted(
        name
        for name, value in vars(module).items()
        if isinstance(value, FunctionType)
        and value.__module__ == module.__name__
        and not name.startswith("_")
    )


def test_there_are_kernels() -> None:
    assert "topk" in STEMS


def test_every_kernel_file_has_a_twin_and_nothing_else_lies_there() -> None:
    wanted = {"__init__.py", *(f"{stem}.py" for stem in STEMS)}
    shared = {f"{stem}.py" for stem in SHARED}
    assert wanted <= _names(KERNELS / "reference") <= wanted | shared


def test_every_kernel_file_has_a_parity_test_and_nothing_else_lies_there() -> None:
    # The two more: this one, and that of the C headers.
    more = {"__init__.py", "test_stems.py", "test_headers.py", "headers.c"}
    assert _names(HERE) == {*(f"test_{stem}.py" for stem in STEMS), *more}


def test_every_file_beside_the_kernels_has_a_stem_of_theirs() -> None:
    stems = {*STEMS, *SHARED}
    allowed = {f"{stem}.{end}" for stem in stems for end in ("pyx", "pxd", "h")}
    allowed |= {f"{stem}.pyi" for stem in STEMS} | {f"{stem}.h" for stem in HEADERS_ALONE}
    sources = {name for name in _names(KERNELS) if not name.endswith((".so", ".pyd"))}
    assert sources - allowed == {"__init__.py", "reference"}
    assert {f"{stem}.pyi" for stem in STEMS} <= sources


def test_every_library_is_of_a_kernel_file() -> None:
    """One of an old name would still be found by an import of that name, and so hide an error."""
    built = {
        path.name.split(".")[0] for path in KERNELS.iterdir() if path.suffix in {".so", ".pyd"}
    }
    assert built <= set(STEMS), "delete the libraries that no source makes any more"


@pytest.mark.parametrize("stem", STEMS)
def test_a_twin_is_where_its_kernel_is(stem: str) -> None:
    assert _twins_of(stem) == _kernels_of(stem) != []


@pytest.mark.parametrize("stem", STEMS)
def test_a_parity_test_tries_every_kernel_of_its_stem(stem: str) -> None:
    text = (HERE / f"test_{stem}.py").read_text()
    for name in _kernels_of(stem):
        assert f"_kernels.{name}" in text
        assert f"reference.{name}" in text


def test_every_kernel_is_public_in_both_packages() -> None:
    kernels = sorted(name for stem in STEMS for name in _kernels_of(stem))
    assert sorted(_kernels.__all__) == kernels
    assert sorted(reference.__all__) == kernels


def test_no_module_is_hidden_by_a_kernel_of_its_name() -> None:
    assert not set(_kernels.__all__) & {*STEMS, *SHARED}


@pytest.mark.parametrize("name", _kernels.__all__)
def test_a_twin_has_the_parameters_of_its_kernel(name: str) -> None:
    kernel, twin = getattr(_kernels, name), getattr(reference, name)
    assert list(inspect.signature(kernel).parameters) == list(inspect.signature(twin).parameters)
    assert kernel is not twin
