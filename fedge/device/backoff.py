"""Growing pauses between tries."""

import random
from dataclasses import dataclass, replace
from typing import Self


@dataclass(frozen=True, slots=True)
class Backoff:
    """The next pause: it doubles with every try, up to a limit.

    Jitter takes up to half of it, so that devices which lost the same broker do
    not all come back at the same moment.
    """

    first_s: float
    most_s: float
    n_tries: int = 0

    def pause_s(self, dice: random.Random) -> float:
        """Seconds until the next try: between a half and the whole of the pause's length."""
        # 2^30 pauses outlast any limit; the bound keeps the float from overflowing.
        length_s = min(self.most_s, self.first_s * 2.0 ** min(self.n_tries, 30))
        return length_s * (1 - dice.random() / 2)

    def next(self) -> Self:
        """After one more try."""
        return replace(self, n_tries=self.n_tries + 1)
