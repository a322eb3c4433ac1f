"""How long to wait before the next attempt."""

import random
from dataclasses import dataclass, field

_FIRST_S = 0.1
_LONGEST_S = 30.0
_GOOD_S = 10.0  # a link that was up this long did not flap


@dataclass(slots=True)
class Backoff:
    """Pauses drawn from 0 to a bound that doubles from 0.1 s to 30 s.

    The bound is 0.1 s, doubled once for each failed attempt in a row, and once for each link in a
    row that came up and broke within 10 s. A link that comes up resets the count of failed
    attempts: whatever made them fail is over. One that was up for 10 s resets both counts. So after
    a long outage a link that breaks early is first retried soon, and a broker that keeps throwing
    us out is tried less and less often.

    The whole pause is random, so that a fleet that lost its broker at one instant
    does not come back at one instant.

    Source: Brooker, Exponential Backoff And Jitter, 2015 ("full jitter").
    """

    rng: random.Random
    n_failures: int = field(default=0)  # failed attempts in a row
    n_flaps: int = field(default=0)  # short-lived links in a row

    def next_pause_s(self, stood_s: float | None = None) -> float:
        """The pause after a failed attempt, or after a link that was up for `stood_s`."""
        n_before = self.n_failures + self.n_flaps
        if stood_s is None:
            self.n_failures += 1
        elif stood_s >= _GOOD_S:
            n_before = self.n_failures = self.n_flaps = 0
        else:
            n_before, self.n_failures = self.n_flaps, 0
            self.n_flaps += 1
        return self.rng.uniform(0, min(_LONGEST_S, _FIRST_S * 2.0 ** min(n_before, 16)))
