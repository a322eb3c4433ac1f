"""A link's trouble is told once, not at every try."""

from fedge.transport import Disconnected
from fedge.transport.trouble import Trouble

REFUSED = "nobody answers at mqtt://there:1883 (connection refused)"


def failed(why: str, pause_s: float) -> Disconnected:
    return Disconnected(f"{why}; next try in {pause_s:.1f} s", pause_s)


def test_six_tries_in_a_row_are_one_line() -> None:
    trouble = Trouble()
    told = [trouble.is_news(failed(REFUSED, 0.1 * i), 0.1 * i) for i in range(6)]
    assert told == [True] + [False] * 5


def test_it_is_told_again_after_a_minute_for_another_reason_and_after_a_link() -> None:
    trouble = Trouble()
    assert trouble.is_news(failed(REFUSED, 1), 0)
    assert not trouble.is_news(failed(REFUSED, 1), 59)
    assert trouble.is_news(failed(REFUSED, 1), 60)
    assert trouble.is_news(failed("not authorised", 1), 61)
    assert not trouble.is_news(failed("not authorised", 1), 62)
    trouble.is_over()
    assert trouble.is_news(failed("not authorised", 1), 63)
