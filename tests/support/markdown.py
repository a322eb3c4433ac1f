"""Shell blocks of a document, in order, as one script."""

import re
from pathlib import Path

_BLOCK = re.compile(r"(?ms)^(?:<!-- test: (?P<env>[^\n]*?) -->\n)?```sh\n(?P<code>.*?)^```$")
_NEEDS = re.compile(r"(?m)^<!-- test needs: (?P<tools>[^\n]*?) -->$")
_NEEDS_PACKAGES = re.compile(r"(?m)^<!-- test needs packages: (?P<names>[^\n]*?) -->$")
_FENCE = re.compile(r"(?m)^\s*(?:```|~~~)\s*(?:sh|bash|shell|console)\b")


def shell_script(document: Path) -> str:
    """All `sh` blocks, one after the other, in one shell that stops at the first failure.

    A comment `<!-- test: NAME="value" -->` right above a block sets variables for
    that block only, so that a test can shorten a run that readers see in full.
    """
    lines = ["set -euo pipefail"]
    for block in _BLOCK.finditer(document.read_text()):
        code = block["code"]
        lines.append(f"( export {block['env']}\n{code})" if block["env"] else code)
    return "\n".join(lines)


def n_shell_blocks(document: Path) -> int:
    """How many fenced blocks are marked as shell, whatever their indentation."""
    return len(_FENCE.findall(document.read_text()))


def n_run(document: Path) -> int:
    """How many of them `shell_script` runs."""
    return len(_BLOCK.findall(document.read_text()))


def needed_tools(document: Path) -> list[str]:
    """The programs named in the document's comment `<!-- test needs: NAME ... -->`."""
    return [tool for found in _NEEDS.finditer(document.read_text()) for tool in found[1].split()]


def needed_packages(document: Path) -> list[str]:
    """The Python packages named in a comment `<!-- test needs packages: NAME ... -->`."""
    text = document.read_text()
    return [name for found in _NEEDS_PACKAGES.finditer(text) for name in found["names"].split()]
