"""Who takes part: emulated boards, and this machine itself."""

import platform
from dataclasses import dataclass

from fedge.errors import ConfigError
from firmware_sim.boards import BOARDS, Board, board, names

MOST = 64
HOST = "host"
_X86 = ("x86_64", "AMD64", "i686")


@dataclass(frozen=True, slots=True)
class Member:
    """One device of a fleet."""

    id: str
    board: Board | None  # None: this machine

    @property
    def title(self) -> str:
        """Where it runs, for display."""
        return self.board.title if self.board else f"this machine ({platform.machine()})"


def read_members(text: str) -> tuple[Member, ...]:
    """The devices named by text such as `zero2w:2,pi4,host:1`, in order; one if no number is given.

    `host` is this machine; it can also be named by what `uname -m` prints, and as `x86` if it is
    one.

    Raises:
        ConfigError: if a name is unknown, repeated or not this machine's, or a number makes no
            sense.
    """
    members: list[Member] = []
    seen: set[str] = set()
    for part in text.split(","):
        name, _, number = part.strip().partition(":")
        found = _board(name)
        if name in seen:
            raise ConfigError(f"--boards names {name} twice: give a number, as in {name}:2")
        seen.add(name)
        members += [Member(f"{name}-{n}", found) for n in range(1, _count(part, number) + 1)]
    if len(members) > MOST:
        raise ConfigError(f"--boards: expected at most {MOST} devices, found {len(members)}")
    return tuple(members)


def host_names() -> tuple[str, ...]:
    """The names for this machine among the boards."""
    machine = platform.machine()
    return (HOST, machine, "x86") if machine in _X86 else (HOST, machine)


def _board(name: str) -> Board | None:
    if name in host_names():
        return None
    if name == "x86":
        raise ConfigError(f"x86 is not this machine, which is {platform.machine()}: write {HOST}")
    if name not in names(BOARDS):
        known = ", ".join([*names(BOARDS), HOST])
        raise ConfigError(f"--boards: there is no board {name!r}: choose from {known}")
    return board(name)


def _count(part: str, number: str) -> int:
    if not number and ":" not in part:
        return 1
    if not number.isascii() or not number.isdigit() or not 1 <= int(number) <= MOST:
        raise ConfigError(f"--boards {part.strip()}: expected a number from 1 to {MOST}")
    return int(number)
