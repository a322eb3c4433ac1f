"""One round, fed by hand, then by anything."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedge.errors import ConfigError
from fedge.rounds import CALM_S, Enough, Round, Verdict
from fedge.types import DeviceId, RoundId

ANN, BOB, CID = (DeviceId(name) for name in ("ann", "bob", "cid"))
SEVEN = RoundId(7)
A, B = b"nonce--a", b"nonce--b"


def a_round(*expected: DeviceId, quorum: int = 1, deadline_s: float = 30.0) -> Round:
    return Round(
        id=SEVEN,
        kind="training",
        expected=frozenset(expected),
        quorum=quorum,
        deadline_s=deadline_s,
    )


def test_a_round_is_over_when_everyone_expected_has_answered() -> None:
    state = a_round(ANN, BOB)
    state, verdict = state.receive(ANN, SEVEN, A)
    assert verdict is Verdict.ACCEPTED
    assert not state.is_over(0.0)
    assert state.waiting_for == {BOB}
    state, _ = state.receive(BOB, SEVEN, B)
    assert state.is_over(0.0)


def test_time_ends_a_round_only_with_a_quorum() -> None:
    state = a_round(ANN, BOB, CID, quorum=2)
    state, _ = state.receive(ANN, SEVEN, A)
    assert not state.is_over(1e9)
    state, _ = state.receive(BOB, SEVEN, A)
    assert not state.is_over(29.9)
    assert state.is_over(30.0)


def test_a_device_that_goes_is_not_waited_for() -> None:
    state, _ = a_round(ANN, BOB).receive(ANN, SEVEN, A)
    state = state.leave(BOB, 5.0)
    assert state.is_over(5.0 + CALM_S)
    assert state.lost == {BOB}
    assert state.missing == {BOB: "gone"}


def test_a_farewell_ends_nothing_before_the_device_can_have_contradicted() -> None:
    state, _ = a_round(ANN, BOB).receive(ANN, SEVEN, A)
    assert not state.leave(BOB, 5.0).is_over(4.9 + CALM_S)
    assert not state.skip(BOB, "diverged", 5.0).is_over(4.9 + CALM_S)
    assert not state.leave(BOB, 5.0).join(BOB).is_over(29.9)
    assert state.leave(BOB, 29.9).is_over(30.0)  # the deadline is the deadline


def test_a_device_that_has_answered_may_go_at_once() -> None:
    state, _ = a_round(ANN, BOB).receive(ANN, SEVEN, A)
    state, _ = state.receive(BOB, SEVEN, B)
    assert state.leave(BOB, 5.0).is_over(5.0)


def test_a_refusal_for_good_is_an_answer() -> None:
    state, _ = a_round(ANN, BOB).receive(ANN, SEVEN, A)
    state = state.refuse(BOB, "too many examples")
    assert state.is_over(0.0)
    assert state.missing == {BOB: "refused: too many examples"}
    assert state.receive(BOB, SEVEN, B)[0].missing == {}
    assert a_round(ANN).refuse(ANN, "too many examples").has_failed(0.0)


def test_a_device_given_up_is_not_waited_for() -> None:
    state, _ = a_round(ANN, BOB).receive(ANN, SEVEN, A)
    assert state.give_up(BOB).is_over(0.0)
    assert state.give_up(BOB).missing == {BOB: "gone"}


def test_everybody_missing_is_named_with_the_reason_in_order() -> None:
    state = a_round(*map(DeviceId, "edcba")).leave(DeviceId("e"), 0.0)
    state = state.skip(DeviceId("d"), "diverged", 0.0).refuse(DeviceId("c"), "damaged")
    state, _ = state.receive(DeviceId("b"), SEVEN, A)
    assert list(state.missing.items()) == [
        ("a", "silent"), ("c", "refused: damaged"), ("d", "cannot do it: diverged"), ("e", "gone"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "n_devices", "n_enough"),
    [("2", 3, 2), ("80%", 10, 8), ("80%", 3, 3), ("0.5%", 3, 1), ("100%", 4, 4), ("33.3%", 3, 1)],
)
def test_enough_is_a_number_or_a_share_rounded_up(text: str, n_devices: int, n_enough: int) -> None:
    devices = [DeviceId(f"d{index}") for index in range(n_devices)]
    state, n_in = a_round(*devices), 0
    while not Enough.parse(text).is_reached(state):
        state, _ = state.receive(devices[n_in], SEVEN, A)
        n_in += 1
    assert n_in == n_enough


@pytest.mark.parametrize("text", ["", "0", "0%", "101%", "-1", "1.5", "x", "80 %", "9" * 12])
def test_what_is_no_number_of_updates_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="a number of updates or a share like 80%"):
        Enough.parse(text)


def test_a_device_that_cannot_do_the_round_is_not_waited_for_and_not_lost() -> None:
    state, _ = a_round(ANN, BOB).receive(ANN, SEVEN, A)
    state = state.skip(BOB, "diverged", 0.0)
    assert state.is_over(CALM_S)
    assert state.skipped == {BOB: "diverged"}
    assert state.lost == frozenset()


def test_a_round_has_failed_when_all_who_are_there_cannot_do_it() -> None:
    state = a_round(ANN, BOB).skip(ANN, "diverged", 0.0)
    assert not state.has_failed(CALM_S)
    assert state.skip(BOB, "diverged", 0.0).has_failed(CALM_S)
    assert not state.skip(BOB, "diverged", 0.1).has_failed(CALM_S)
    assert state.leave(BOB, 0.0).has_failed(CALM_S)
    assert not state.skip(BOB, "diverged", 0.0).join(CID).has_failed(CALM_S)
    assert not state.receive(BOB, SEVEN, B)[0].has_failed(CALM_S)
    assert not a_round(ANN).leave(ANN, 0.0).has_failed(CALM_S)


def test_an_update_counts_even_if_its_device_said_before_that_it_would_not_come() -> None:
    state, verdict = a_round(ANN).skip(ANN, "late", 0.0).receive(ANN, SEVEN, A)
    assert verdict is Verdict.ACCEPTED
    assert state.skip(ANN, "late", 0.0).accepted == {ANN: A}
    assert state.skipped == {}


def test_what_a_device_sent_before_it_went_still_counts() -> None:
    state, _ = a_round(ANN, BOB).receive(ANN, SEVEN, A)
    state = state.leave(ANN, 0.0)
    assert state.accepted == {ANN: A}
    assert state.lost == frozenset()
    assert not state.is_over(0.0)


def test_a_device_that_comes_back_is_expected_again_and_not_lost() -> None:
    state = a_round(ANN, BOB).leave(BOB, 0.0).join(BOB)
    assert state.expected == {ANN, BOB}
    assert state.lost == frozenset()


def test_a_latecomer_may_take_part() -> None:
    state, _ = a_round(ANN).join(CID).receive(ANN, SEVEN, A)
    assert not state.is_over(0.0)
    state, verdict = state.receive(CID, SEVEN, A)
    assert verdict is Verdict.ACCEPTED
    assert state.is_over(0.0)


def test_an_update_of_an_unexpected_device_counts() -> None:
    state, verdict = a_round(ANN).receive(BOB, SEVEN, A)
    assert verdict is Verdict.ACCEPTED
    assert state.expected == {ANN, BOB}


def test_the_same_update_again_is_told_from_a_second_one() -> None:
    state, _ = a_round(ANN).receive(ANN, SEVEN, A)
    assert state.receive(ANN, SEVEN, A) == (state, Verdict.REPEATED)
    assert state.receive(ANN, SEVEN, B) == (state, Verdict.SECOND)


def test_updates_of_other_rounds_are_late_or_unknown() -> None:
    state = a_round(ANN)
    assert state.receive(ANN, RoundId(6), A) == (state, Verdict.LATE)
    assert state.receive(ANN, RoundId(8), A) == (state, Verdict.UNKNOWN)


def test_a_round_without_devices_is_not_over() -> None:
    assert not a_round().is_over(1e9)


_MOVES: dict[str, Callable[[Round, DeviceId], Round]] = {
    "join": Round.join,
    "leave": lambda state, device: state.leave(device, -CALM_S),
    "skip": lambda state, device: state.skip(device, "why", -CALM_S),
    "refuse": lambda state, device: state.refuse(device, "why"),
    "give up": Round.give_up,
}
a_device = st.sampled_from([ANN, BOB, CID, DeviceId("eve")])
a_step = st.one_of(
    st.tuples(st.just("join"), a_device),
    st.tuples(st.just("leave"), a_device),
    st.tuples(st.just("skip"), a_device),
    st.tuples(st.just("refuse"), a_device),
    st.tuples(st.just("give up"), a_device),
    st.tuples(st.just("send"), a_device, st.sampled_from([6, 7, 8]), st.sampled_from([A, B])),
)


@given(steps=st.lists(a_step, max_size=30), quorum=st.integers(1, 4))
def test_each_device_counts_once_whatever_happens(steps: list[tuple], quorum: int) -> None:
    first: dict[DeviceId, bytes] = {}
    state = a_round(ANN, BOB, quorum=quorum)
    for step in steps:
        if step[0] == "send":
            _, device, number, nonce = step
            state, verdict = state.receive(device, RoundId(number), nonce)
            is_new = number == 7 and device not in first
            assert (verdict is Verdict.ACCEPTED) == is_new
            first |= {device: nonce} if is_new else {}
        else:
            state = _MOVES[step[0]](state, step[1])
        assert state.accepted == first
        places = [state.expected, state.lost, state.skipped.keys(), state.refused.keys()]
        assert sum(map(len, places)) == len(frozenset().union(*places))
        assert state.missing.keys() == frozenset().union(*places) - first.keys()
        assert state.is_over(30.0) == (len(first) >= quorum)
        assert not state.is_over(0.0) or state.expected <= first.keys()
