"""docs/reference/ from the docstrings: `python -m tests.docs.reference` writes it.

griffe reads the source; nothing is imported for it but the settings of a configuration
and the values of constants, which are computed.
"""

from dataclasses import dataclass, field
from pathlib import Path

import griffe

from tests.docs.rendering import entry, prose, slug

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "reference"
# What others rely on: a page for each, with the names of its `__all__`.
MODULES = (
    "fedge",
    "fedge.codecs",
    "fedge.strategies",
    "fedge.strategies.robust",
    "fedge.errors",
    "fedge.transport",
)
_TYPES = "types.md"
_FOOT = "*`make golden` writes this page from the docstrings: change those.*\n"
_HEAD = """\
# Reference

The public names. What is not here may change from one version to the next. Commands are
described by their `--help`, and their settings by [settings](../settings.md) too.

| page | what is there |
|---|---|
"""
_TYPES_HEAD = """\
# Types

What the other pages name in signatures and fields, with the module that each comes from.
"""


@dataclass(slots=True)
class _Places:
    """Where each thing is described; what is nowhere yet goes to the page of types."""

    at: dict[str, str] = field(default_factory=dict)
    wanted: dict[str, griffe.Object] = field(default_factory=dict)

    def link(self, one: griffe.Object) -> str:
        if one.path not in self.at:
            self.at[one.path] = f"{_TYPES}#{slug(one.name)}"
            self.wanted[one.path] = one
        return self.at[one.path]

    def take(self) -> griffe.Object:
        return self.wanted.pop(next(iter(self.wanted)))


def pages() -> dict[str, str]:
    """The text of each file of the folder."""
    package = loaded("fedge", ROOT)
    offered = {module: _public(_module(package, module)) for module in MODULES}
    places = _Places()
    for module, objects in offered.items():
        for name, one in objects.items():
            places.at.setdefault(one.path, f"{_page(module)}#{slug(name)}")
    found = {
        _page(module): _written(package, module, objects, places)
        for module, objects in offered.items()
    }
    found[_TYPES] = _written_types(package, places)
    rows = [
        f"| [{m}]({_page(m)}) | {_words(_module(package, m)).splitlines()[0]} |" for m in MODULES
    ]
    rows.append(f"| [types]({_TYPES}) | What the other pages name in signatures and fields. |")
    return {"index.md": "\n".join([_HEAD + rows[0], *rows[1:], "", _FOOT]), **found}


def loaded(name: str, folder: Path) -> griffe.Module:
    """A package as griffe reads it."""
    package = griffe.load(
        name,
        search_paths=[folder],
        allow_inspection=False,
        docstring_parser="google",
        docstring_options={"returns_multiple_items": False, "returns_named_value": False},
    )
    assert isinstance(package, griffe.Module)
    return package


def _public(module: griffe.Module) -> dict[str, griffe.Object]:
    """By name: what `__all__` lists; without one, every class that has no underscore."""
    if module.exports is None:
        return {name: one for name, one in module.classes.items() if not name.startswith("_")}
    found = {str(name): module[str(name)] for name in module.exports}
    targets = {n: one.final_target if one.is_alias else one for n, one in found.items()}
    return {name: one for name, one in targets.items() if not one.is_module}


def _written(
    package: griffe.Module, module: str, objects: dict[str, griffe.Object], places: _Places
) -> str:
    entries = [entry(name, one, package, places.link) for name, one in objects.items()]
    return "\n".join([f"# {module}\n", _words(_module(package, module)), "", *entries, _FOOT])


def _written_types(package: griffe.Module, places: _Places) -> str:
    """What was named, and what that names in turn, until nothing is new."""
    entries: dict[str, str] = {}
    while places.wanted:
        one = places.take()
        head, _, rest = entry(one.name, one, package, places.link).partition("\n\n")
        entries[one.name] = f"{head}\n\nIn `{one.module.path}`.\n\n{rest}"
    return "\n".join([_TYPES_HEAD, *(entries[n] for n in sorted(entries, key=str.lower)), _FOOT])


def _module(package: griffe.Module, module: str) -> griffe.Module:
    found = package[module.removeprefix("fedge.")] if "." in module else package
    assert isinstance(found, griffe.Module)
    return found


def _words(module: griffe.Module) -> str:
    assert module.docstring is not None
    return prose(module.docstring.value)


def _page(module: str) -> str:
    return f"{module.rpartition('.')[2]}.md"


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.glob("*.md"):
        old.unlink()
    for name, text in pages().items():
        (FOLDER / name).write_text(text)
