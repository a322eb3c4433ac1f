"""The pages for whoever changes the code say what is there: rooms, layers and every path."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [DOCS / "architecture.md", DOCS / "CONTRIBUTING.md", DOCS / "SECURITY.md"]
PLACES = (ROOT, ROOT / "fedge")
# Rooms of the shells that an update does not pass, each with what is done there instead.
_BESIDE = {"device/link"}  # whether the broker is there, and whose name this is


def architecture() -> str:
    return (DOCS / "architecture.md").read_text()


def contracts() -> dict[str, list[str]]:
    """The layers of each container of fedge's, from the top down."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    return {
        container: contract["layers"]
        for contract in settings["contracts"]
        if contract["type"] == "layers"
        for container in contract["containers"]
        if container.partition(".")[0] == "fedge"
    }


def drawings() -> dict[str, list[str]]:
    """The layers as they are drawn: the words before the first wide gap of each line."""
    found = re.findall(r"<!-- layers: (\S+) -->\n```text\n(.*?)\n```", architecture(), re.DOTALL)
    return {
        container: [re.split(r" {2,}", line)[0] for line in drawing.splitlines()]
        for container, drawing in found
    }


def rooms() -> list[str]:
    folders = [path.parent for path in (ROOT / "fedge").rglob("__init__.py")]
    return sorted(
        str(folder.relative_to(ROOT / "fedge")).replace(".", "fedge") for folder in folders
    )


def test_the_layers_are_drawn_as_they_are_checked() -> None:
    assert drawings() == contracts()


def test_every_line_of_a_drawing_says_what_is_there() -> None:
    for drawing in re.findall(r"(?s)<!-- layers: .*?```text\n(.*?)\n```", architecture()):
        assert all(re.search(r"\S {2,}\S", line) for line in drawing.splitlines())


def test_every_room_has_one_line_and_every_line_is_a_room() -> None:
    section = architecture().partition("## The rooms")[2].partition("\n## ")[0]
    rows = re.findall(r"(?m)^\| `([\w/]+)` \| (\S.*) \|$", section)
    assert sorted(name for name, _ in rows) == rooms()


def test_the_way_of_an_update_passes_every_room_that_an_update_passes() -> None:
    """Who adds a room to a shell says what it does on the way, or that it is not on it."""
    way = architecture().partition("## The way of an update")[2].partition("\n## ")[0]
    passed = {str(Path(path).parent) for path in re.findall(r"`([\w/]+\.py)`", way)}
    on_it = {room for room in rooms() if room.split("/")[0] in {"device", "aggregator"}}
    assert on_it - passed == _BESIDE


def named_paths(document: Path) -> list[str]:
    """What is set as code and is a path, or looks like one."""
    words = re.findall(r"`([\w./-]+)`", document.read_text())
    tops = {path.name for place in PLACES for path in place.iterdir()}
    ends = (".py", ".md", ".toml", ".pyx", ".json", "/")
    return [
        word
        for word in words
        if word.endswith(ends) or ("/" in word and word.split("/")[0] in tops)
    ]


@pytest.mark.parametrize("document", PAGES, ids=[page.stem for page in PAGES])
def test_every_path_that_is_named_is_there(document: Path) -> None:
    found = named_paths(document)
    missing = [name for name in found if not any((place / name).exists() for place in PLACES)]
    assert found
    assert missing == []


def test_every_verb_that_is_named_is_one_of_make() -> None:
    verbs = set(re.findall(r"(?m)^([a-z-]+):", (ROOT / "Makefile").read_text()))
    named = {verb for page in PAGES for verb in re.findall(r"`make ([a-z-]+)", page.read_text())}
    assert named
    assert named <= verbs


@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
def test_the_readme_leads_to_the_page(page: Path) -> None:
    assert f"(docs/{page.name})" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize(
    ("room", "lacks"),
    [("privacy", "**No differential privacy.**"), ("security", "**No signatures.**")],
)
def test_security_says_what_is_missing_until_its_room_is_there(room: str, lacks: str) -> None:
    """Whoever brings it says on the page what is protected now, and from whom."""
    assert (lacks in (DOCS / "SECURITY.md").read_text()) != (ROOT / "fedge" / room).exists()
