"""The reference is that of the docstrings, describes every name, and its links lead somewhere."""

import re
from pathlib import Path

import pytest

import fedge
from tests.docs import reference
from tests.docs.rendering import entry, prose, slug

FILES = sorted(reference.FOLDER.glob("*.md"))
_MODULE_TITLE = re.compile(r"(?m)^# (fedge\S*)$")
# A heading, its signature and its types: what follows is another heading where nothing is said.
_SILENT = re.compile(
    r"(?m)^#{2,3} `([^`]+)`\n\n```python\n[^`]*```\n\n?(?:Types: .*\n\n?)?(?=#|\*`make)"
)


def test_the_pages_are_those_of_the_docstrings() -> None:
    """Written anew by `make golden`."""
    assert {path.name: path.read_text() for path in FILES} == reference.pages()


def test_every_public_name_has_an_entry() -> None:
    """By what Python itself exports, not by what griffe finds."""
    for module in reference.MODULES:
        page = (reference.FOLDER / f"{module.rpartition('.')[2]}.md").read_text()
        names = __import__(module, fromlist=["*"]).__dict__.get("__all__", [])
        entries = set(re.findall(r"(?m)^## `(\w+)`$", page))
        modules = {name for name in names if f"fedge.{name}" in reference.MODULES}
        assert entries >= set(names) - modules, module


def test_every_public_module_of_fedge_has_a_page() -> None:
    modules = {f"fedge.{name}" for name in fedge.__all__ if name.islower() and "_" not in name}
    assert modules <= set(reference.MODULES)


@pytest.mark.parametrize("module", reference.MODULES)
def test_everything_that_others_rely_on_is_described(module: str) -> None:
    """But for a method that is what the page says of another of its name: a protocol's."""
    page = (reference.FOLDER / f"{module.rpartition('.')[2]}.md").read_text()
    silent = _SILENT.findall(page)
    said = {
        name.partition(".")[2] for name in re.findall(r"`(\w+\.\w+)`\n", page) if name not in silent
    }
    assert [name for name in silent if name.partition(".")[2] not in said] == []


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_every_link_leads_to_a_heading_or_a_file(path: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", path.read_text()):
        page, _, anchor = target.partition("#")
        found = path.parent / page
        assert found.exists(), target
        headings = re.findall(r"(?m)^#+ (.*)$", found.read_text())
        assert not anchor or anchor in map(slug, headings), target


_SOURCE = '''
"""A package."""

from dataclasses import dataclass


class _Hidden(Exception):
    """Nobody is to know of it.

    Attributes:
        where: it happened.
    """


class Broken(_Hidden):
    """It does not work."""

    exit_code = 3


@dataclass(frozen=True, kw_only=True)
class Pump:
    """Moves water."""

    litres: int  # a minute, at least 1
    name: str = "well"

    @property
    def is_on(self) -> bool:
        """Whether it runs."""
        return True

    def run(self, seconds: float, *more: int) -> int:
        """Run it.

        Args:
            seconds: how long,
                at most 60.

        Returns:
            Litres.

        Raises:
            Broken: if it is.
        """
        return 0

    def _stop(self) -> None: ...
'''


def test_a_class_by_hand(tmp_path: Path) -> None:
    (tmp_path / "pumps.py").write_text(_SOURCE)
    package = reference.loaded("pumps", tmp_path)
    found = entry("Pump", package.classes["Pump"], package, lambda one: one.path)
    assert (
        re.sub(r"\n{2,}", "\n", found)
        == """\
## `Pump`
```python
class Pump(*, litres: int, name: str = "well")
```
Moves water.
**Fields**
- `litres: int`: a minute, at least 1
- `name: str`
### `Pump.is_on`
```python
Pump.is_on: bool
```
Whether it runs.
### `Pump.run`
```python
Pump.run(seconds: float, *more: int) -> int
```
Run it.
**Args**
- `seconds`: how long, at most 60.
**Returns**
- `int`: Litres.
**Raises**
- `Broken`: if it is.
"""
    )


def test_a_base_that_nobody_is_to_know_of_gives_what_it_has_and_not_its_name(
    tmp_path: Path,
) -> None:
    (tmp_path / "pumps.py").write_text(_SOURCE)
    package = reference.loaded("pumps", tmp_path)
    found = entry("Broken", package.classes["Broken"], package, lambda one: one.path)
    assert (
        re.sub(r"\n{2,}", "\n", found)
        == """\
## `Broken`
```python
class Broken(Exception)
```
It does not work.
**Attributes**
- `where`: it happened.
**Fields**
- `exit_code = 3`
"""
    )


def test_a_setting_is_told_with_what_it_takes_and_nothing_of_this_machine() -> None:
    page = (reference.FOLDER / "fedge.md").read_text()
    assert "| `quorum` | a whole number, at least 1 | `1` | " in page
    assert "| `id` | a text, 1 to 64 of A-Z a-z 0-9 _ - | from the machine | " in page
    assert "| `artifact` | a path | must be given | " in page


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("below 2**29 and 2**32", r"below 2\*\*29 and 2\*\*32"),
        ("`2**29` stays", "`2**29` stays"),
        ("see docs/codecs.md", "see [docs/codecs.md](../codecs.md)"),
        ("a <b> and 0 < c", r"a \<b> and 0 < c"),
        ("so:\n\n    a * b", "so:\n\n    a * b"),
    ],
)
def test_words_of_a_docstring_are_shown_as_they_are(words: str, shown: str) -> None:
    assert prose(words) == shown
