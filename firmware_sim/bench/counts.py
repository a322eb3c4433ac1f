"""One count: a kernel in one piece of work, on one processor."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """A line of the result.

    Attributes:
        board: the name of a board or, on tier `count`, of a processor.
        work: such as "encode topk:0.01/int8".
        n_params: of the model.
        kernel: its name.
        size: how many items the kernel worked on.
        unit: what the items are.
        ours: instructions of our kernel.
        twin: instructions of the plain twin; None if it was not or cannot be counted.
    """

    board: str
    work: str
    n_params: int
    kernel: str
    size: int
    unit: str
    ours: int
    twin: int | None = None

    @property
    def line(self) -> str:
        """What is counted, leaving out where."""
        return f"{self.work} {self.n_params} {self.kernel}"


def boards(counts: Sequence[Count]) -> list[str]:
    """The boards counted, in order."""
    return list(dict.fromkeys(count.board for count in counts))


def lines(counts: Sequence[Count]) -> dict[str, dict[str, Count]]:
    """The counts by what was counted, then by board, in order."""
    found: dict[str, dict[str, Count]] = {}
    for count in counts:
        found.setdefault(count.line, {})[count.board] = count
    return found


def alike(counts: Sequence[Count]) -> list[list[str]]:
    """The boards in groups with identical counts, which run the same code."""
    groups: dict[tuple[tuple[str, int], ...], list[str]] = {}
    for board in boards(counts):
        own = tuple((count.line, count.ours) for count in counts if count.board == board)
        groups.setdefault(own, []).append(board)
    return list(groups.values())
