"""Counts on tier `system`: `fedge bench kernels --count instructions` inside an emulated board.

The board's kernel reads its performance counters, which QEMU keeps exactly; the same command on a
real board gives numbers to compare these with.
"""

import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fedge.bench.kernels.counting import WHOLE
from firmware_sim.bench.counts import Count
from firmware_sim.boards import Board
from firmware_sim.errors import EmulationError
from firmware_sim.tiers.base import Job
from firmware_sim.tiers.system import SystemMode

SIZES = (10_000,)  # the twins take minutes
_RESULT = "counts.json"
_MINUTE = 60.0


def count(
    boards: Sequence[Board],
    sizes: Sequence[int],
    *,
    kernels: Sequence[str] | None,
    patience_s: float = 30 * _MINUTE,
    tell: Callable[[str], None],
) -> list[Count]:
    """All counts, board by board, starting each one once.

    Args:
        boards: the ones to count on.
        sizes: numbers of parameters.
        kernels: only these; if None, all of them and whole calls too.
        patience_s: time limit for each board.
        tell: takes lines of progress.

    Raises:
        EmulationError: if a board cannot be emulated, or the command fails there.
    """
    tier = SystemMode(is_counted=True)
    found: list[Count] = []
    for board in boards:
        reason = refusal(board)
        if reason:
            raise EmulationError(f"{board.name}: {reason}")
        tier.prepare(board, tell)
        tell(f"{board.name}: counting inside; with the plain twins that takes minutes")
        found += _on(tier, board, _words(sizes, kernels), patience_s)
    return found


def refusal(board: Board) -> str | None:
    """Why nothing can be counted inside this board; None if it can."""
    if board.system.machine != "aarch64":
        return (
            "QEMU's 32-bit machines have no instruction counter: count on tier count, or run"
            " `fedge bench kernels --count instructions` on a real board"
        )
    return None


def _on(tier: SystemMode, board: Board, words: Sequence[str], patience_s: float) -> list[Count]:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        guest = tier.start(board, Job(words=words, folder=folder))
        try:
            code = guest.wait(patience_s)
        finally:
            guest.stop()
        if code:
            said = guest.log.read_text(errors="replace").strip().splitlines()
            raise EmulationError(f"{board.name} ended with {code}: {' '.join(said[-3:])}")
        return read(board.name, json.loads((folder / _RESULT).read_text()))


def read(board: str, result: Any) -> list[Count]:
    """Parses the JSON of `fedge bench kernels --count instructions --json`, from any machine."""
    try:
        return [Count(board=board, **line) for line in result["instructions"]]
    except (KeyError, TypeError):
        raise EmulationError(f"{board}: no result of `--count instructions`") from None


def is_whole(count: Count) -> bool:
    """Whether it covers a whole call, including Python's part."""
    return count.kernel == WHOLE


def _words(sizes: Sequence[int], kernels: Sequence[str] | None) -> list[str]:
    command = ["-m", "fedge", "bench", "kernels", "--count", "instructions", "--json", _RESULT]
    chosen = [word for size in sizes for word in ("--size", str(size))]
    return [*command, *chosen, *(["--kernel", *kernels] if kernels else [])]
