"""How long to wait before the next try."""

import random
from dataclasses import dataclass, field

_FIRST_S = 0.1
_LONGEST_S = 30.0


@dataclass(slots=True)
class Backoff:
    """Pauses drawn from 0 to a bound that doubles from 0.1 s to 30 s.

    The whole pause is drawn, so that a fleet that lost its broker at one instant
    does not come back at one instant.

    Source: Brooker, Exponential Backoff And Jitter, 2015 ("full jitter").
    """

    rng: random.Random
    n_failures: int = field(default=0)

    def next_pause_s(self) -> float:
        """The pause after one more failure."""
        bound = min(_LONGEST_S, _FIRST_S * 2.0 ** min(self.n_failures, 16))
        self.n_failures += 1
        return self.rng.uniform(0, bound)

    def reset(self) -> None:
        """Begin again with short pauses: the last connection was a good one."""
        self.n_failures = 0
