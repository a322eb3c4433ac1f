"""What every tier declares about itself, and what those that run programs provide.

The four are modules of this package: `count`, `user`, `system` and `board`. Each has a `TIER`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from firmware_sim.boards import Board
from firmware_sim.stock import programs
from firmware_sim.stock.item import Item

Tell = Callable[[str], None]  # takes one line of progress


@dataclass(frozen=True, slots=True)
class Need:
    """Something on this machine that a tier uses."""

    name: str
    reason: str
    install: str  # the command that installs it
    is_met: bool


def needed(reasons: Mapping[str, str]) -> list[Need]:
    """Programs on this machine, each with its purpose."""
    return [
        Need(name, reason, programs.install(name), programs.find(name) is not None)
        for name, reason in reasons.items()
    ]


def fault(tier: "Tier", board: Board) -> str | None:
    """Which part of the board's system was unavailable when last requested; None if none."""
    found = (item.fault() for item in tier.stock(board))
    return next((str(each) for each in found if each is not None), None)


class Tier(Protocol):
    """One way to run a board's code.

    Laws: `refusal` is None exactly for the boards the tier can emulate; `needs` lists everything
    that must already be on this machine, met or not, and `stock` everything that archives provide
    for the board; neither uses the network.
    """

    @property
    def name(self) -> str: ...
    @property
    def runs(self) -> str: ...
    @property
    def may_claim(self) -> str: ...
    @property
    def may_not_claim(self) -> str: ...
    def refusal(self, board: Board) -> str | None: ...
    def needs(self, board: Board) -> Sequence[Need]: ...
    def stock(self, board: Board) -> Sequence[Item]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A Python program for a board.

    It starts in its folder; paths in its arguments are relative to that folder, because only a
    user-mode guest sees this machine's files. After it ends, the folder holds what it wrote.
    """

    words: Sequence[str]  # after `python3`, such as -m fedge device ...
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)


class Guest(Protocol):
    """A job that is running or has ended.

    Laws: `wait` returns the program's exit code, and raises EmulationError if the time is up or the
    board went down without one; `stop` may be called at any time, even twice.
    """

    @property
    def log(self) -> Path: ...  # what the program printed, both streams
    def is_running(self) -> bool: ...
    def wait(self, timeout_s: float) -> int: ...
    def stop(self) -> None: ...  # asks the program to end, then forces it


@runtime_checkable
class RunsPrograms(Tier, Protocol):
    """A tier on which Python runs.

    Laws: `prepare` fetches and builds everything the board needs, and does nothing the second time;
    `loopback` is the address at which a guest reaches this machine's 127.0.0.1.
    """

    @property
    def loopback(self) -> str: ...
    def prepare(self, board: Board, tell: Tell) -> None: ...
    def start(self, board: Board, job: Job) -> Guest: ...
