"""How many updates are enough to end a round before its deadline."""

import math
import re
from dataclasses import dataclass
from typing import Self

from fedge.errors import ConfigError
from fedge.rounds.round import Round

_NUMBER = re.compile(r"[1-9][0-9]{0,8}")
_SHARE = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,6})?%")
ENOUGH = "a number of updates or a share like 80%"


def is_enough(text: str) -> bool:
    """Whether `Enough.parse` accepts it."""
    if _SHARE.fullmatch(text):
        return 0 < float(text[:-1]) <= 100
    return _NUMBER.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Enough:
    """A number of updates, or a share of the devices that were asked."""

    n_updates: int | None = None
    share: float | None = None  # 0 exclusive to 1

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `12` or `80%`.

        Raises:
            ConfigError: if it is neither.
        """
        if not is_enough(text):
            raise ConfigError(f"updates that are enough: expected {ENOUGH}, found {text[:40]!r}")
        if text.endswith("%"):
            return cls(share=float(text[:-1]) / 100)
        return cls(n_updates=int(text))

    def is_reached(self, round_: Round) -> bool:
        """Whether the round has a quorum and this many updates; a share is rounded up."""
        if self.n_updates is not None:
            least = self.n_updates
        else:
            least = math.ceil((self.share or 0) * round_.n_asked - 1e-9)
        return round_.has_quorum and round_.n_accepted >= least
