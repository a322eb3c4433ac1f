"""One documented thing as Markdown: its signature, its docstring, its fields and its methods."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import MISSING, fields
from importlib import import_module
from pathlib import Path
from typing import Any

import griffe

from fedge.config.fields import Setting, settings_of
from tests.docs.signatures import hidden_bases, is_alias, is_configuration, is_property, signature

Link = Callable[[griffe.Object], str]  # where a thing is described: a page and a place on it

_TITLES = {"parameters": "Args", "attributes": "Attributes"}
_CODE = re.compile(r"(`[^`]*`|^ {4}.*$)", re.MULTILINE)
_TRAILING = re.compile(r" {2}# (?!noqa|type:)(.*?)(?: {2}# noqa.*)?$")


def slug(heading: str) -> str:
    """A heading's anchor, as GitHub and MyST make it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def entry(name: str, one: griffe.Object, package: griffe.Module, link: Link) -> str:
    """Everything about one name of a page."""
    parts = [f"## `{name}`", *_described(name, one, package, link)]
    if isinstance(one, griffe.Class):
        for member, found in _members(one):
            if isinstance(found, griffe.Function) or is_property(found):
                parts.append(f"### `{name}.{member}`")
                parts += _described(f"{name}.{member}", found, package, link)
    return "\n\n".join(parts) + "\n"


def prose(text: str) -> str:
    """Words of a docstring as Markdown: nothing is emphasised by chance, pages are linked."""
    parts = _CODE.split(text)
    for place in range(0, len(parts), 2):
        plain = re.sub(r"\*|<(?=[\w/!])", r"\\\g<0>", parts[place])
        parts[place] = re.sub(r"\bdocs/(\w+\.md)", r"[docs/\1](../\1)", plain)
    return "".join(parts)


def _described(name: str, one: griffe.Object, package: griffe.Module, link: Link) -> Iterator[str]:
    yield f"```python\n{signature(name, one)}\n```"
    named = {found.name: link(found) for found in _named(one, package)}
    if named:
        yield "Types: " + ", ".join(f"[{n}]({named[n]})" for n in sorted(named, key=str.lower))
    yield from _sections(one)
    if isinstance(one, griffe.Class):
        yield from _fields(one)


def _sections(one: griffe.Object) -> Iterator[str]:
    if one.docstring is None:
        words = comment(one)
        if words:
            yield prose(words)
        return
    inherited = hidden_bases(one) if isinstance(one, griffe.Class) else []
    tables = [s for base in inherited for s in _parsed(base) if s.kind.value != "text"]
    for section in [*_parsed(one), *tables]:
        match section:
            case griffe.DocstringSectionText():
                yield prose(section.value)
            case griffe.DocstringSectionAdmonition():
                yield f"**{section.title}**\n\n{prose(section.value.description)}"
            case _:
                title = _TITLES.get(section.kind.value, section.kind.value.capitalize())
                yield f"**{title}**\n\n" + "\n".join(map(_item, section.value))


def _item(item: Any) -> str:
    name = getattr(item, "name", None) or item.annotation
    said = prose(" ".join(item.description.split()))
    return f"- `{name}`: {said}" if name else f"- {said}"


def _parsed(one: griffe.Object) -> list[Any]:
    return one.docstring.parsed if one.docstring else []


def _fields(one: griffe.Class) -> Iterator[str]:
    """What it holds, with the words that stand beside each field in the source."""
    if is_configuration(one):
        yield _settings(one)
        return
    tables = [s.value for s in _parsed(one) if s.kind.value in _TITLES]
    told = {item.name for table in tables for item in table}
    rows = [
        _field(name, found)
        for name, found in _members(one)
        if isinstance(found, griffe.Attribute) and _is_field(found) and name not in told
    ]
    if rows:
        yield "**Fields**\n\n" + "\n".join(rows)


def _is_field(one: griffe.Attribute) -> bool:
    """Whether it is written in the class itself, and no property."""
    is_of_class = one.annotation is not None or "class-attribute" in one.labels
    return is_of_class and not is_property(one)


def _field(name: str, one: griffe.Attribute) -> str:
    said = f"{name} = {one.value}" if one.annotation is None else f"{name}: {one.annotation}"
    words = prose(comment(one))
    return f"- `{said}`: {words}" if words else f"- `{said}`"


def _settings(one: griffe.Class) -> str:
    """A configuration's fields as a table."""
    kind = getattr(import_module(one.module.path), one.name)
    found = {f.name for f in fields(kind) if f.default_factory is not MISSING}
    rows = [
        f"| `{s.name}` | {s.expected} | {_default(s, found)} | {prose(s.about)} |"
        for s in settings_of(kind)
    ]
    return "| field | takes | default | what it is |\n|---|---|---|---|\n" + "\n".join(rows)


def _default(one: Setting, found: set[str]) -> str:
    if one.default is MISSING:
        return "must be given"
    if one.name in found:
        return "from the machine"
    return "none" if one.default is None else f"`{one.default}`"


def _members(one: griffe.Class) -> Iterator[tuple[str, griffe.Object]]:
    """Its public members, and those of a base that nobody is to know of."""
    members = dict(one.members)
    for base in hidden_bases(one):
        members = {**members, **{n: m for n, m in base.members.items() if n not in members}}
    for name, found in members.items():
        if not name.startswith("_") and isinstance(found, griffe.Object):
            yield name, found


def _named(one: griffe.Object, package: griffe.Module) -> Iterator[griffe.Object]:
    """What of fedge's its annotations name."""
    for name in _names(_annotations(one)):
        path = name.canonical_path
        if path.startswith("fedge."):
            found = package[path.removeprefix("fedge.")]
            target = found.final_target if isinstance(found, griffe.Alias) else found
            if isinstance(target, griffe.Object) and target.path != one.path:
                yield target


def _annotations(one: griffe.Object) -> Iterator[Any]:
    if isinstance(one, griffe.Function):
        yield from (parameter.annotation for parameter in one.parameters)
        yield one.returns
    elif isinstance(one, griffe.Class):
        yield from (parameter.annotation for parameter in one.parameters)
        yield from (
            found.annotation for _, found in _members(one) if isinstance(found, griffe.Attribute)
        )
    elif isinstance(one, griffe.Attribute):
        yield one.annotation
        yield one.value if is_alias(one) else None


def _names(annotations: Iterable[Any]) -> Iterator[griffe.ExprName]:
    for annotation in annotations:
        if isinstance(annotation, griffe.Expr):
            yield from (n for n in annotation.iterate(flat=True) if isinstance(n, griffe.ExprName))


def comment(one: griffe.Object) -> str:
    """The words beside a name in the source, or in the lines right above it."""
    assert isinstance(one.filepath, Path)
    lines = one.lines_collection[one.filepath]
    assert one.lineno is not None
    last = lines[(one.endlineno or one.lineno) - 1]
    beside = _TRAILING.search(last) or _TRAILING.search(lines[one.lineno - 1])
    if beside:
        return beside[1]
    above: list[str] = []
    for line in reversed(lines[: one.lineno - 1]):
        if not line.startswith("# "):
            break
        above.insert(0, line[2:])
    return " ".join(above)
