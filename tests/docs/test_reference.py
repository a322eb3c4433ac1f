"""The reference is that of the docstrings, describes every name, and its links lead somewhere."""

import re
from pathlib import Path

import pytest

import fedge
from tests.docs import reference
from tests.docs.rendering import prose, slug

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
