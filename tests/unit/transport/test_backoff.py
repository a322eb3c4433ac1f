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
    assert backoff.next_pause_s(10.0) == 0.1
    assert backoff.next_pause_s() == 0.1


def test_after_a_long_outage_a_link_that_breaks_soon_is_tried_again_soon() -> None:
    """It kept the old pause: the first retry came after 21 s."""
    backoff = Backoff(Highest())
    for _ in range(12):
        backoff.next_pause_s()
    assert backoff.next_pause_s(3.0) == 0.1
    assert [backoff.next_pause_s() for _ in range(3)] == [0.2, 0.4, 0.8]
    assert backoff.next_pause_s(0.5) == 0.2  # the second flap in a row


def test_a_link_that_flaps_in_a_loop_backs_off() -> None:
    backoff = Backoff(Highest())
    pauses = [backoff.next_pause_s(0.0) for _ in range(11)]
    assert pauses == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0, 30.0]
    assert backoff.next_pause_s(9.99) == 30.0
    assert backoff.next_pause_s(10.0) == 0.1
    assert backoff.next_pause_s(0.0) == 0.1


def test_a_loop_of_flaps_and_failed_tries_backs_off_too() -> None:
    """A broker that starts, falls over at our CONNECT and takes a second to start again."""
    backoff = Backoff(Highest())
    bounds = [(backoff.next_pause_s(0.1), backoff.next_pause_s()) for _ in range(9)]
    assert bounds[0] == (0.1, 0.2)
    assert bounds[3] == (0.8, 1.6)
    assert bounds[8] == (25.6, 30.0)


def test_a_pause_is_drawn_from_the_whole_range() -> None:
    backoff = Backoff(random.Random(1), n_failures=40)  # noqa: S311 - jitter
    pauses = [backoff.next_pause_s() for _ in range(300)]
    assert min(pauses) < 1.0
    assert max(pauses) > 29.0
    assert sum(pause < 15.0 for pause in pauses) in range(110, 190)
