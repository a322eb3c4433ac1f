"""Whom the rule puts in quarantine and whom it releases, by hand; it never takes a majority."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedge.aggregator.rounds.quarantine import Decision, Known, Policy, decide
from fedge.aggregator.state.records import Quarantine, Score
from fedge.types import DeviceId, RoundId

POLICY = Policy(after=3, rounds=2)
ROUND = RoundId(9)
EVE = DeviceId("eve")


def scores(n_clean: int, *suspects: str) -> list[Score]:
    found = [Score(device=DeviceId(f"honest-{n}"), norm=1.0) for n in range(n_clean)]
    bad = frozenset({"suspect", "long"})
    return [*found, *(Score(device=DeviceId(one), norm=8.0, marks=bad) for one in suspects)]


def entry(device: str, *, by: str = "rule", is_out: bool = True, n_clean: int = 0) -> Quarantine:
    return Quarantine(
        device=DeviceId(device), is_out=is_out, by=by, round=4, since="-", reason="-",
        n_clean=n_clean,
    )  # fmt: skip


def after(
    found: list[Score], suspicion: Mapping[str, int] | None = None, *decisions: Quarantine,
    policy: Policy = POLICY, n_devices: int = 0,
) -> Decision:  # fmt: skip
    known = Known(
        decisions={one.device: one for one in decisions},
        suspicion={DeviceId(name): bits for name, bits in (suspicion or {}).items()},
        n_devices=n_devices,
    )
    return decide(found, known, policy, round_=ROUND)


@pytest.mark.parametrize(
    ("bits", "is_out"),
    [
        (0b0, False),
        (0b1, False),
        (0b11, True),
        (0b1010, True),  # with this round three of the last five
        (0b10010, False),  # one of them is too long ago
        (0b1100, True),
        (0b110000, False),
    ],
)
def test_suspect_in_three_of_its_last_five_rounds_it_is_out(bits: int, *, is_out: bool) -> None:
    found = after(scores(9, "eve"), {"eve": bits})
    assert (EVE in found.verdicts.begun) is is_out


def test_the_reason_says_how_often_and_what() -> None:
    (why,) = after(scores(9, "eve"), {"eve": 0b11}).verdicts.begun.values()
    assert why == "suspect in 3 of its last 5 rounds, now with a norm 8 times the median"


def test_a_clean_round_puts_nobody_there_whatever_came_before() -> None:
    assert not after(scores(9), {"honest-1": 0b1111}).verdicts.begun


def test_released_after_two_clean_rounds_in_a_row() -> None:
    clean = [*scores(9), Score(device=EVE, norm=1.0)]
    first = after(clean, {}, entry("eve", n_clean=0)).verdicts
    assert (first.clean, first.ended) == ({EVE: 1}, frozenset())
    second = after(clean, {}, entry("eve", n_clean=1)).verdicts
    assert not second.clean
    assert second.ended == {EVE}
    relapse = after(scores(9, "eve"), {}, entry("eve", n_clean=1)).verdicts
    assert (relapse.clean, relapse.ended, relapse.begun) == ({EVE: 0}, frozenset(), {})


def test_a_round_without_it_or_without_enough_others_is_not_clean() -> None:
    assert not after(scores(9), {}, entry("eve", n_clean=1)).verdicts.ended
    unknown = [Score(device=EVE, norm=None)]
    assert not after(unknown, {}, entry("eve", n_clean=1)).verdicts.ended


def test_what_is_by_hand_is_left_alone() -> None:
    clean = [*scores(9), Score(device=EVE, norm=1.0)]
    stays = after(clean, {}, entry("eve", by="hand", n_clean=99)).verdicts
    assert (stays.ended, stays.clean) == (frozenset(), {})
    freed = after(scores(9, "eve"), {"eve": 0b11111}, entry("eve", by="hand", is_out=False))
    assert not freed.verdicts.begun


def test_switched_off_it_releases_those_it_has_put_there() -> None:
    off = Policy(after=None, rounds=2)
    hand = entry("mal", by="hand")
    found = after(scores(9, "eve"), {"eve": 0b1111}, entry("dan"), hand, policy=off).verdicts
    assert not found.begun
    assert found.ended == {DeviceId("dan")}


def test_half_of_a_round_is_too_many() -> None:
    """Four of nine may go, four of eight may not: then the rule does nothing and says whom."""
    bad = ("a", "b", "c", "d")
    bits = dict.fromkeys(bad, 0b11)
    assert after(scores(5, *bad), bits).verdicts.begun.keys() == set(bad)
    found = after(scores(4, *bad), bits)
    assert (found.verdicts.begun, found.withheld) == ({}, bad)


def test_those_already_out_are_among_them_by_hand_too() -> None:
    """Of nine, with two out by hand and one by rule, one more is four; with two more it is five."""
    out = [entry("x", by="hand"), entry("y", by="hand"), entry("z")]
    here = [Score(device=one.device, norm=1.0) for one in out]
    assert after([*scores(5, "a"), *here], {"a": 3}, *out).verdicts.begun
    assert after([*scores(4, "a", "b"), *here], {"a": 3, "b": 3}, *out).withheld == ("a", "b")


def test_as_many_are_left_as_the_strategy_needs() -> None:
    """Of ten devices nine are needed: one may go, two may not."""
    needs_nine = Policy(after=3, rounds=2, least=9)
    assert after(scores(9, "a"), {"a": 3}, policy=needs_nine).verdicts.begun
    found = after(scores(8, "a", "b"), {"a": 3, "b": 3}, policy=needs_nine)
    assert (found.verdicts.begun, found.withheld) == ({}, ("a", "b"))


def test_a_fleet_is_not_emptied_round_by_round() -> None:
    """Five are out already and not here; of eleven known ones a sixth would leave no majority."""
    out = [entry(f"out-{number}") for number in range(5)]
    assert after(scores(5, "eve"), {"eve": 3}, *out, n_devices=11).withheld == ("eve",)
    assert after(scores(5, "eve"), {"eve": 3}, *out, n_devices=13).verdicts.begun


@given(
    n_clean=st.integers(0, 8),
    n_bad=st.integers(0, 8),
    n_out=st.integers(0, 8),
    n_hand=st.integers(0, 4),
)
def test_the_rule_never_brings_it_to_half(
    n_clean: int, n_bad: int, n_out: int, n_hand: int
) -> None:
    bad = [f"bad-{number}" for number in range(n_bad)]
    out = [entry(f"out-{number}") for number in range(n_out)]
    out += [entry(f"hand-{number}", by="hand") for number in range(n_hand)]
    still = frozenset({"suspect"})
    here = [Score(device=one.device, norm=9.0, marks=still) for one in out]
    found = after([*scores(n_clean, *bad), *here], dict.fromkeys(bad, 0b11), *out)
    if found.verdicts.begun:
        n_all = n_clean + n_bad + len(out)
        assert 2 * (len(found.verdicts.begun) + len(out)) < n_all
