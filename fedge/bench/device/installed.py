"""The size on disk of a distribution and of everything it requires, from their own metadata.

Counts the files that each distribution says it installed, and what Python has compiled from them,
so it takes a second and needs no new environment. Standard library only; run as a program it
prints JSON, for the interpreter of a peer.
"""

import json
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

_NAME = re.compile(r"\s*([A-Za-z0-9._-]+)\s*(?:\[([^\]]*)\])?[^;]*(?:;(.*))?$", re.DOTALL)
_EXTRA = re.compile(r"extra\s*==\s*[\"']([^\"']+)[\"']")
_OWN, _FOLDER = "fedge", Path(__file__).parents[2]
_SUFFIXES = {".py", ".pyc", ".pyi", ".so", ".typed"}  # what its wheel contains


@dataclass(frozen=True, slots=True)
class Installed:
    """What is installed.

    Attributes:
        sizes: bytes of each distribution.
        versions: version of each.
        missing: distributions that are required but absent, or that do not list their files.
    """

    sizes: dict[str, int]
    versions: dict[str, str]
    missing: list[str]


def measure(roots: Iterable[str]) -> Installed:
    """Distributions with all their requirements, extras only if a requirement asks for them.

    A requirement under any other condition (of the Python version, say) counts if it is
    installed, because then it was needed here.
    """
    found = Installed({}, {}, [])
    todo: list[tuple[str, frozenset[str], bool]] = [(name, frozenset(), True) for name in roots]
    seen: set[tuple[str, frozenset[str]]] = set()
    while todo:
        name, extras, is_needed = todo.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        try:
            one = distribution(name)
        except PackageNotFoundError:
            if is_needed:
                found.missing.append(name)
            continue
        found.sizes[name], found.versions[name] = _size(name, one), one.version
        if not found.sizes[name]:
            found.missing.append(name)
        todo += _requirements(one, extras)
    return found


def _requirements(
    one: Distribution, extras: frozenset[str]
) -> Iterator[tuple[str, frozenset[str], bool]]:
    """Name, extras, and whether it is needed on every machine."""
    for text in one.requires or ():
        match = _NAME.match(text)
        if match is None:
            continue
        name, wanted, condition = match.groups(default="")
        asked = set(_EXTRA.findall(condition))
        if asked and not asked & extras:
            continue
        words = frozenset(word.strip() for word in wanted.split(",") if word.strip())
        yield re.sub(r"[-_.]+", "-", name).lower(), words, not condition


def _size(name: str, one: Distribution) -> int:
    """Bytes of its files; 0 if they are not listed anywhere."""
    if name == _OWN:  # perhaps running from its source tree, which lists no files
        files = {file for file in _FOLDER.rglob("*") if file.suffix in _SUFFIXES}
    elif one.files is not None:
        listed = {Path(str(file.locate())) for file in one.files}
        files = listed.union(*map(_compiled, listed))
    else:  # packages of Linux distributions do not list theirs here
        folders = (one.read_text("top_level.txt") or name.replace("-", "_")).split()
        files = {
            file for folder in folders for file in Path(str(one.locate_file(folder))).rglob("*")
        }
    return sum(file.stat().st_size for file in files if file.is_file())


def _compiled(file: Path) -> set[Path]:
    """The bytecode that Python compiled from a source; not every installer lists it."""
    if file.suffix != ".py":
        return set()
    return {file.parent / "__pycache__" / f"{file.stem}.{sys.implementation.cache_tag}.pyc"}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asdict(measure(sys.argv[1:]))))
