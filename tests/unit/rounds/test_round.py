"""One round, fed by hand, then by anything."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import fedge.aggregator
from fedge.errors import ConfigError
from fedge.rounds import CALM_S, Enough, Round, Verdict
from fedge.types import DeviceId, RoundId

ANN, BOB, CID = (DeviceId(name) for name in ("ann", "bob", "cid"))
SEVEN = RoundId(7)
A, B = b"nonce--a", b"nonce--b"


def a_round(*expected: DeviceId, quorum: int = 1, deadline_s: float = 30.0) -> Round:
    return Round(id=SEVEN, kind="training", expected=expected, quorum=quorum, deadline_s=deadline_s)


def ann_is_in(*expected: DeviceId) -> Round:
    """A round of these in which ann has answered."""
    state = a_round(*expected)
    assert state.receive(ANN, SEVEN, A) is Verdict.ACCEPTED
    return state


def test_a_round_is_over_when_everyone_expected_has_answered() -> None:
    state = ann_is_in(ANN, BOB)
    assert not state.is_over(0.0)
    assert state.waiting_for == {BOB}
    state.receive(BOB, SEVEN, B)
    assert state.is_over(0.0)


def test_time_ends_a_round_only_with_a_quorum() -> None:
    state = a_round(ANN, BOB, CID, quorum=2)
    state.receive(ANN, SEVEN, A)
    assert not state.is_over(1e9)
    state.receive(BOB, SEVEN, A)
    assert not state.is_over(29.9)
    assert state.is_over(30.0)


def test_a_device_that_goes_is_not_waited_for() -> None:
    state = ann_is_in(ANN, BOB)
    assert state.leave(BOB, 5.0)
    assert state.is_over(5.0 + CALM_S)
    assert state.lost == {BOB}
    assert state.missing == {BOB: "gone"}
    assert not state.leave(BOB, 9.0)  # it is gone already
    assert state.is_over(5.0 + CALM_S)


def test_a_farewell_ends_nothing_before_the_device_can_have_contradicted() -> None:
    state = ann_is_in(ANN, BOB)
    state.leave(BOB, 5.0)
    assert not state.is_over(4.9 + CALM_S)
    state.join(BOB)
    assert not state.is_over(29.9)
    state.skip(BOB, "diverged", 8.0)
    assert not state.is_over(7.9 + CALM_S)
    state.join(BOB)
    state.leave(BOB, 29.9)
    assert state.is_over(30.0)  # the deadline is the deadline


def test_a_device_that_has_answered_may_go_at_once() -> None:
    state = ann_is_in(ANN, BOB)
    state.receive(BOB, SEVEN, B)
    assert not state.leave(BOB, 5.0)  # nobody waited for it
    assert state.is_over(5.0)


def test_a_refusal_for_good_is_an_answer() -> None:
    state = ann_is_in(ANN, BOB)
    state.refuse(BOB, "too many examples")
    assert state.is_over(0.0)
    assert state.missing == {BOB: "refused: too many examples"}
    assert not state.appear(BOB)  # it has answered, and comes again
    assert state.is_over(0.0)
    state.receive(BOB, SEVEN, B)
    assert state.missing == {}
    alone = a_round(ANN)
    alone.refuse(ANN, "too many examples")
    assert alone.has_failed(0.0)


def test_a_device_given_up_is_not_waited_for() -> None:
    state = ann_is_in(ANN, BOB)
    state.give_up(BOB)
    assert state.is_over(0.0)
    assert state.missing == {BOB: "gone"}
    assert not state.give_up(ANN)  # it has answered
    assert state.lost == {BOB}


def test_everybody_missing_is_named_with_the_reason_in_order() -> None:
    state = a_round(*map(DeviceId, "edcba"))
    state.leave(DeviceId("e"), 0.0)
    state.skip(DeviceId("d"), "diverged", 0.0)
    state.refuse(DeviceId("c"), "damaged")
    state.receive(DeviceId("b"), SEVEN, A)
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
        state.receive(devices[n_in], SEVEN, A)
        n_in += 1
    assert n_in == n_enough


@pytest.mark.parametrize("text", ["", "0", "0%", "101%", "-1", "1.5", "x", "80 %", "9" * 12])
def test_what_is_no_number_of_updates_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="a number of updates or a share like 80%"):
        Enough.parse(text)


def test_a_device_that_cannot_do_the_round_is_not_waited_for_and_not_lost() -> None:
    state = ann_is_in(ANN, BOB)
    assert state.skip(BOB, "diverged", 0.0)
    assert not state.skip(BOB, "diverged", 9.0)  # it has said so
    assert state.is_over(CALM_S)
    assert state.skipped == {BOB: "diverged"}
    assert state.lost == frozenset()


@pytest.mark.parametrize("first", ["skip", "lose"])
def test_a_device_is_never_lost_and_unable_at_once(first: str) -> None:
    state = ann_is_in(ANN, BOB)
    if first == "skip":
        state.skip(BOB, "diverged", 0.0)
        state.give_up(BOB)
        assert (state.skipped, state.lost) == ({}, frozenset({BOB}))
    else:
        state.leave(BOB, 0.0)
        state.skip(BOB, "diverged", 0.0)
        assert (state.skipped, state.lost) == ({BOB: "diverged"}, frozenset())
    assert state.n_lost + state.n_skipped == len(state.missing) == 1
    state.receive(BOB, SEVEN, B)
    state.give_up(BOB)
    state.skip(BOB, "diverged", 0.0)
    assert (state.skipped, state.lost, state.missing) == ({}, frozenset(), {})


def test_a_round_has_failed_when_all_who_are_there_cannot_do_it() -> None:
    def ann_skips() -> Round:
        state = a_round(ANN, BOB)
        state.skip(ANN, "diverged", 0.0)
        return state

    state = ann_skips()
    assert not state.has_failed(CALM_S)
    state.skip(BOB, "diverged", 0.1)
    assert not state.has_failed(CALM_S)
    assert state.has_failed(CALM_S + 0.1)
    state.join(CID)
    assert not state.has_failed(CALM_S + 0.1)
    state = ann_skips()
    state.leave(BOB, 0.0)
    assert state.has_failed(CALM_S)
    state = ann_skips()
    state.receive(BOB, SEVEN, B)
    assert not state.has_failed(CALM_S)
    state = a_round(ANN)
    state.leave(ANN, 0.0)
    assert not state.has_failed(CALM_S)


def test_an_update_counts_even_if_its_device_said_before_that_it_would_not_come() -> None:
    state = a_round(ANN)
    state.skip(ANN, "late", 0.0)
    assert state.receive(ANN, SEVEN, A) is Verdict.ACCEPTED
    assert not state.skip(ANN, "late", 0.0)
    assert state.accepted == {ANN: A}
    assert state.skipped == {}


def test_what_a_device_sent_before_it_went_still_counts() -> None:
    state = ann_is_in(ANN, BOB)
    state.leave(ANN, 0.0)
    assert state.accepted == {ANN: A}
    assert state.lost == frozenset()
    assert not state.is_over(0.0)


def test_a_device_that_comes_back_is_expected_again_and_not_lost() -> None:
    state = a_round(ANN, BOB)
    state.leave(BOB, 0.0)
    assert state.appear(BOB)
    assert state.expected == {ANN, BOB}
    assert state.lost == frozenset()


def test_a_latecomer_may_take_part() -> None:
    state = a_round(ANN)
    state.join(CID)
    state.receive(ANN, SEVEN, A)
    assert not state.is_over(0.0)
    assert state.receive(CID, SEVEN, A) is Verdict.ACCEPTED
    assert state.is_over(0.0)


def test_an_update_of_an_unexpected_device_counts() -> None:
    state = a_round(ANN)
    assert state.receive(BOB, SEVEN, A) is Verdict.ACCEPTED
    assert state.expected == {ANN, BOB}


def test_the_same_update_again_is_told_from_a_second_one() -> None:
    state = ann_is_in(ANN)
    assert state.receive(ANN, SEVEN, A) is Verdict.REPEATED
    assert state.receive(ANN, SEVEN, B) is Verdict.SECOND
    assert state.accepted == {ANN: A}


def test_updates_of_other_rounds_are_late_or_unknown() -> None:
    state = a_round(ANN)
    assert state.receive(ANN, RoundId(6), A) is Verdict.LATE
    assert state.receive(ANN, RoundId(8), A) is Verdict.UNKNOWN
    assert state.accepted == {}


def test_a_round_without_devices_is_not_over() -> None:
    assert not a_round().is_over(1e9)


def test_a_deadline_moves_with_the_link_and_comes_nearer_but_never_later() -> None:
    state = ann_is_in(ANN, BOB)
    state.postpone(5.0)
    assert not state.is_over(34.9)
    state.hasten(40.0)
    assert state.is_over(35.0)
    state.hasten(10.0)
    assert state.is_over(10.0)


def test_a_round_that_goes_on_counts_what_it_had() -> None:
    state = Round(
        id=SEVEN, kind="training", expected=[ANN, BOB], quorum=1, deadline_s=1.0, accepted={CID: A}
    )
    assert (state.n_accepted, state.n_waiting, state.n_asked) == (1, 2, 3)
    assert state.waiting_for == {ANN, BOB}
    assert state.expected == {ANN, BOB, CID}


def test_only_one_file_writes_the_open_round() -> None:
    folder = Path(fedge.aggregator.__file__).parent
    transitions = "receive|join|appear|skip|refuse|leave|give_up|postpone|hasten"
    written = re.compile(
        rf"\bround_?\.({transitions})\(|(?:job|current)\.round = |\bRound\.|\bRound\("
    )
    writers = [path.name for path in folder.rglob("*.py") if written.search(path.read_text())]
    assert writers == ["current.py"]


_MOVES: dict[str, Callable[[Round, DeviceId], object]] = {
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
            verdict = state.receive(device, RoundId(number), nonce)
            is_new = number == 7 and device not in first
            assert (verdict is Verdict.ACCEPTED) == is_new
            first |= {device: nonce} if is_new else {}
        else:
            _MOVES[step[0]](state, step[1])
        assert state.accepted == first
        places = [state.expected, state.lost, state.skipped.keys(), state.refused.keys()]
        assert sum(map(len, places)) == len(frozenset().union(*places))
        assert state.missing.keys() == frozenset().union(*places) - first.keys()
        assert state.is_over(30.0) == (len(first) >= quorum)
        assert not state.is_over(0.0) or state.expected <= first.keys()
