"""A link's estimated capacity, by hand; sends may take 8 s, so an eighth is one second."""

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fedge import codecs
from fedge.device.uplink.goodput import Goodput, Send

UNKNOWN = Goodput(upload_time_s=8.0)

sends = st.builds(
    Send, st.integers(1, 2**31), st.floats(0, 1e6, allow_nan=False, allow_infinity=False)
)


def after(*done: tuple[int, float], start: Goodput = UNKNOWN) -> Goodput:
    for n_bytes, took_s in done:
        start = start.after(Send(n_bytes, took_s))
    return start


def test_the_budget_of_an_unknown_link_is_four_kilobytes() -> None:
    assert UNKNOWN.bytes_per_s is None
    assert UNKNOWN.budget_bytes == 4096


def test_the_first_send_gives_the_rate() -> None:
    found = after((4096, 4.0))
    assert found.bytes_per_s == 1024
    assert found.budget_bytes == 8192


def test_of_two_sends_the_slower_one_counts() -> None:
    assert after((3000, 1.0), (16_000, 8.0)).bytes_per_s == 2000
    assert after((16_000, 8.0), (3000, 1.0)).bytes_per_s == 2000


def test_of_three_sends_the_median_counts_and_a_fourth_replaces_the_first() -> None:
    three = after((1000, 1.0), (90_000, 2.0), (6000, 3.0))  # 1000, 45 000 and 2000 bytes/s
    assert three.bytes_per_s == 2000
    assert three.budget_bytes == 16_000
    assert after((40_000, 8.0), start=three).bytes_per_s == 5000  # of 45 000, 2000 and 5000


def test_one_outlier_among_three_sends_has_no_effect() -> None:
    steady = after((8000, 8.0), (8000, 8.0), (8000, 8.0))
    for odd in [(8000, 800.0), (8000, 0.01)]:
        assert after(odd, start=steady).bytes_per_s == 1000


def test_a_quick_send_is_evidence_for_eight_times_its_bytes_and_no_more() -> None:
    found = after((4096, 0.001))
    assert found.bytes_per_s == 4096
    assert found.budget_bytes == 32_768


def test_a_quick_send_that_proves_less_than_the_budget_is_ignored() -> None:
    known = after((30_000, 3.0))  # 80 000 bytes
    assert after((10_000, 0.9), start=known) == known  # proves 80 000: nothing new
    assert after((10_000, 1.1), start=known) != known
    assert after((512, 0.5)) == UNKNOWN


def test_a_broken_send_halves_the_budget_and_forgets_earlier_ones() -> None:
    known = after((80_000, 8.0), (80_000, 8.0), (80_000, 8.0))
    assert known.budget_bytes == 80_000
    failed = known.after_failure(Send(80_000, 0.5))
    assert failed.budget_bytes == 40_000
    assert after((40_000, 2.0), start=failed).budget_bytes == 40_000  # the slower of two
    assert after((40_000, 2.0), (40_000, 2.0), start=failed).budget_bytes == 160_000


def test_a_send_that_took_too_long_counts_for_what_fits_into_the_time() -> None:
    known = after((80_000, 8.0))
    assert known.after_failure(Send(80_000, 64.0)).budget_bytes == 10_000


def test_the_first_send_may_fail() -> None:
    assert UNKNOWN.after_failure(Send(4000, 16.0)).budget_bytes == 2000
    assert UNKNOWN.after_failure(Send(4000, 1.0)).budget_bytes == 2048


@given(st.lists(sends, max_size=6), sends)
@example([], Send(1, 0.0))
@example([Send(2**31, 1e-9)], Send(2**31, 1e-9))
def test_a_failure_at_least_halves_the_budget(before: list[Send], failed: Send) -> None:
    known = UNKNOWN
    for send in before:
        known = known.after(send)
    assert known.after_failure(failed).budget_bytes <= max(64, known.budget_bytes // 2)


@given(st.floats(0.1, 3600), st.lists(st.tuples(st.booleans(), sends), max_size=12))
def test_every_budget_is_one_that_the_codec_accepts(
    upload_time_s: float, course: list[tuple[bool, Send]]
) -> None:
    known = Goodput(upload_time_s)
    for has_failed, send in course:
        known = known.after_failure(send) if has_failed else known.after(send)
        assert codecs.get(f"budget:{known.budget_bytes}").uses_residual


@pytest.mark.parametrize("first", [100, 4096, 10**7])
@pytest.mark.parametrize("delay_s", [0.0, 0.2, 2.0])
@pytest.mark.parametrize("rate", [500, 20_000, 10**6])
def test_the_budget_settles_where_a_send_takes_the_upload_time(
    rate: int, delay_s: float, first: int
) -> None:
    """On a link of this rate with a constant delay: 8 s is the delay plus the bytes."""
    known = after((first, delay_s + first / rate))
    for _ in range(60):
        known = known.after(Send(known.budget_bytes, delay_s + known.budget_bytes / rate))
    assert math.isclose(known.budget_bytes, (8.0 - delay_s) * rate, rel_tol=0.01)


def test_if_not_even_the_delay_fits_the_minimum_is_sent() -> None:
    known = UNKNOWN
    for _ in range(60):
        known = known.after(Send(known.budget_bytes, 9.0 + known.budget_bytes / 1000))
    assert known.budget_bytes == 64
