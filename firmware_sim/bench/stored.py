"""Stored counts, and whether later ones are worse.

A different compiler makes different code: counts can be compared only if the same compiler made
both, so the compiler is stored with them.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from fedge.errors import ConfigError
from firmware_sim.bench.counts import Count
from firmware_sim.build.freestanding import compiler, translator
from firmware_sim.build.processors import processor

STORED = Path(__file__).parents[2] / "benchmarks" / "baselines" / "instructions.json"
ALLOWANCE = 0.02


@dataclass(frozen=True, slots=True)
class Stored:
    """A file of counts.

    Attributes:
        translator: what translated the kernels to C.
        compilers: what compiled the C, by processor.
        counts: instructions by processor and by `Count.line`.
    """

    translator: str
    compilers: Mapping[str, str]
    counts: Mapping[str, Mapping[str, int]]


def made_here(counts: Sequence[Count]) -> Stored:
    """These counts, with this machine's translator and compilers."""
    by_board: dict[str, dict[str, int]] = {}
    for count in counts:
        by_board.setdefault(count.board, {})[count.line] = count.ours
    compilers = {board: compiler(processor(board)) for board in by_board}
    return Stored(translator(), compilers, by_board)


def write(stored: Stored, path: Path) -> None:
    """Write the file, replacing an old one."""
    path.write_text(json.dumps(asdict(stored), indent=1, sort_keys=True) + "\n")


def read(path: Path) -> Stored:
    """The file.

    Raises:
        ConfigError: if it does not exist or has another format.
    """
    try:
        return Stored(**json.loads(path.read_text()))
    except FileNotFoundError:
        raise ConfigError(f"there are no counts in {path}: store them with --store") from None
    except (ValueError, TypeError):
        raise ConfigError(f"{path} is not a file of counts: store new ones with --store") from None


def complaints(old: Stored, new: Stored, *, allowance: float | None = None) -> list[str]:
    """One sentence for each count that is worse or cannot be compared.

    Args:
        old: the stored counts.
        new: the counts to check; processors and kernels missing from them are ignored.
        allowance: the share by which a count may grow, even with another compiler; without it
            2 %, and only with the same compiler.
    """
    found = []
    bound = ALLOWANCE if allowance is None else allowance
    for board, counts in new.counts.items():
        stored = old.counts.get(board, {})
        was, now = old.compilers.get(board), new.compilers[board]
        if allowance is None and was is not None and was != now:
            found.append(
                f"{board}: the stored counts are of code by {was}, this machine has {now}: install"
                " that one, or compare with --allow PERCENT, or store new ones with --store"
            )
            continue
        for line, count in counts.items():
            grown = _grown(line, stored.get(line), count, bound)
            if grown:
                found.append(f"{board}: {grown}")
    return [*found, *_hint(old, new, is_needed=bool(found))]


def _grown(line: str, old: int | None, new: int, allowance: float) -> str | None:
    if old is None:
        return f"{line} has no stored count: store it with --store"
    if new <= old * (1 + allowance):
        return None
    return f"{line} takes {new} instructions, {new / old - 1:.1%} more than {old}"


def _hint(old: Stored, new: Stored, *, is_needed: bool) -> list[str]:
    """Another Cython is held to the same bound, but may be what is behind a complaint."""
    if not is_needed or old.translator == new.translator:
        return []
    return [f"the stored counts are of C by {old.translator}, these are by {new.translator}"]
