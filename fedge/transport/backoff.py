"""How long to wait before the next try."""

import random
from dataclasses import dataclass, field

_FIRST_S = 0.1
_LONGEST_S = 30.0
_GOOD_S = 10.0  # a link that stood so long is no flap


@dataclass(slots=True)
class Backoff:
    """Pauses drawn from 0 to a bound that doubles from 0.1 s to 30 s.

    The bound is 0.1 s doubled once for each try before that failed, and once for each link
    before that came up and broke within 10 s. A link that came up ends the count of failed tries:
    what made them fail is over. One that stood for 10 s ends both counts. So after a long outage
    the first retry of a link that breaks soon is soon, and a broker that throws us out again and
    again is asked less and less often.

    The whole pause is drawn, so that a fleet that lost its broker at one instant
    does not come back at one instant.

    Source: Brooker, Exponential Backoff And Jitter, 2015 ("full jitter").
    """

    rng: random.Random
    n_failures: int = field(default=0)  # tries in a row that led to no link
    n_flaps: int = field(default=0)  # links in a row that did not stand long

    def next_pause_s(self, stood_s: float | None = None) -> float:
        """The pause after a try that failed, or after the end of a link that stood so long."""
        n_before = self.n_failures + self.n_flaps
        if stood_s is None:
            self.n_failures += 1
        elif stood_s >= _GOOD_S:
            n_before = self.n_failures = self.n_flaps = 0
        else:
            n_before, self.n_failures = self.n_flaps, 0
            self.n_flaps += 1
        return self.rng.uniform(0, min(_LONGEST_S, _FIRST_S * 2.0 ** min(n_before, 16)))
