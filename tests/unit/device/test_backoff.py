"""Pauses between attempts."""

import random

from hypothesis import example, given
from hypothesis import strategies as st

from fedge.device.backoff import Backoff
from tests.support.round_manifests import rng


class NoJitter(random.Random):
    def random(self) -> float:
        return 0.0


def test_pauses_double_up_to_the_limit() -> None:
    backoff, pauses = Backoff(first_s=2.0, most_s=60.0), []
    for _ in range(7):
        pauses.append(backoff.pause_s(NoJitter()))
        backoff = backoff.next()
    assert pauses == [2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]


@given(n_tries=st.integers(0, 10**6), seed=st.integers(0, 2**32 - 1))
@example(n_tries=0, seed=0)
@example(n_tries=10**6, seed=0)
def test_a_pause_is_between_half_its_length_and_the_limit(n_tries: int, seed: int) -> None:
    pause_s = Backoff(2.0, 60.0, n_tries).pause_s(rng(seed))
    assert 1.0 <= pause_s <= 60.0
    if n_tries >= 5:
        assert pause_s >= 30.0
