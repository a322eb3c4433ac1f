"""Tier 0: our kernels alone, on a processor that counts; no system, no Python, no clock.

Its needs can be listed even if none of it is installed: `replay` has the part that counts.
"""

import importlib.util
from collections.abc import Sequence

from fedge.errors import MissingDependencyError
from firmware_sim.boards import Board
from firmware_sim.build import freestanding
from firmware_sim.build.processors import PROCESSORS, Processor, processor
from firmware_sim.stock.item import Item
from firmware_sim.tiers.base import Need, needed

# Modules and their names in pip.
_PACKAGES = {"unicorn": "unicorn", "elftools": "pyelftools", "Cython": "Cython"}


class _Count:
    """What the tier declares about itself."""

    name = "count"
    runs = "our C and Cython kernels, cross-compiled, in Unicorn"
    may_claim = "exact instruction counts, output bits"
    may_not_claim = "time"

    def refusal(self, board: Board) -> str | None:
        known = {each.name for each in PROCESSORS}
        return None if board.cpu in known else f"Unicorn has no {board.cpu}"

    def needs(self, board: Board) -> Sequence[Need]:
        return needs([processor(board.cpu)])

    def stock(self, board: Board) -> Sequence[Item]:  # noqa: ARG002 - the protocol's
        """Nothing: only this machine's compilers are needed."""
        return []


def needs(processors: Sequence[Processor]) -> Sequence[Need]:
    """What counting on these needs."""
    names = {each.compiler: "compiles the kernels" for each in processors}
    names |= {
        f"{each.helpers}-gcc": "divides for them"
        for each in processors
        if each.helpers != each.triplet
    }
    met = needed(names)
    met += [
        Need(package, "counts", f"pip install {package}", _is_installed(module))
        for module, package in _PACKAGES.items()
    ]
    headers = Need(
        "Python.h",
        "is what Cython's C includes",
        "sudo apt install python3-dev",
        freestanding.has_headers(),
    )
    return [*met, headers]


def check_packages() -> None:
    """Refuses to count if a needed package is missing.

    Raises:
        MissingDependencyError: naming the missing package and how to install it.
    """
    missing = [package for module, package in _PACKAGES.items() if not _is_installed(module)]
    if missing:
        raise MissingDependencyError(
            f"counting instructions needs {' and '.join(missing)}, not installed here:"
            f" pip install {' '.join(missing)}"
        )


def _is_installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


TIER = _Count()
