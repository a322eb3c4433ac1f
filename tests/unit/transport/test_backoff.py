"""Pauses between tries."""

import random

from fedge.transport.backoff import Backoff


class Highest(random.Random):
    """Draws the upper bound."""

    def uniform(self, a: float, b: float) -> float:
        return b


def test_the_bound_doubles_from_a_tenth_of_a_second_to_thirty() -> None:
    backoff = Backoff(Highest())
    pauses = [backoff.next_pause_s() for _ in range(12)]
    assert pauses == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0, 30.0, 30.0]
    backoff.reset()
    assert backoff.next_pause_s() == 0.1


def test_a_pause_is_drawn_from_the_whole_range() -> None:
    backoff = Backoff(random.Random(1), n_failures=40)  # noqa: S311 - jitter
    pauses = [backoff.next_pause_s() for _ in range(300)]
    assert min(pauses) < 1.0
    assert max(pauses) > 29.0
    assert sum(pause < 15.0 for pause in pauses) in range(110, 190)
