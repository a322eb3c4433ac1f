"""Growing pauses between attempts."""

import random
from dataclasses import dataclass, replace
from typing import Self


@dataclass(frozen=True, slots=True)
class Backoff:
    """The next pause, which doubles with every attempt, up to a limit.

    Jitter shortens it by up to half, so that devices which lost the same broker do
    not all come back at the same moment.
    """

    first_s: float
    most_s: float
    n_tries: int = 0

    def pause_s(self, rng: random.Random) -> float:
        """Seconds until the next attempt: between half of the pause and all of it."""
        # 2^30 pauses outlast any limit; the bound keeps the float from overflowing.
        length_s = min(self.most_s, self.first_s * 2.0 ** min(self.n_tries, 30))
        return length_s * (1 - rng.random() / 2)

    def next(self) -> Self:
        """The pause after one more attempt."""
        return replace(self, n_tries=self.n_tries + 1)
