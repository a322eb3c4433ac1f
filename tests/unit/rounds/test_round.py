"""One round, fed by hand, then by anything."""

from hypothesis import given
from hypothesis import strategies as st

from fedge.rounds import Round, Verdict
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
    assert state.leave(BOB).is_over(0.0)
    assert state.leave(BOB).lost == {BOB}


def test_a_device_that_cannot_do_the_round_is_not_waited_for_and_not_lost() -> None:
    state, _ = a_round(ANN, BOB).receive(ANN, SEVEN, A)
    state = state.skip(BOB)
    assert state.is_over(0.0)
    assert state.skipped == {BOB}
    assert state.lost == frozenset()


def test_a_round_has_failed_when_all_who_are_there_cannot_do_it() -> None:
    state = a_round(ANN, BOB).skip(ANN)
    assert not state.has_failed
    assert state.skip(BOB).has_failed
    assert state.leave(BOB).has_failed
    assert not state.skip(BOB).join(CID).has_failed
    assert not state.receive(BOB, SEVEN, B)[0].has_failed
    assert not a_round(ANN).leave(ANN).has_failed


def test_an_update_counts_even_if_its_device_said_before_that_it_would_not_come() -> None:
    state, verdict = a_round(ANN).skip(ANN).receive(ANN, SEVEN, A)
    assert verdict is Verdict.ACCEPTED
    assert state.skip(ANN).accepted == {ANN: A}
    assert state.skipped == frozenset()


def test_what_a_device_sent_before_it_went_still_counts() -> None:
    state, _ = a_round(ANN, BOB).receive(ANN, SEVEN, A)
    state = state.leave(ANN)
    assert state.accepted == {ANN: A}
    assert state.lost == frozenset()
    assert not state.is_over(0.0)


def test_a_device_that_comes_back_is_expected_again_and_not_lost() -> None:
    state = a_round(ANN, BOB).leave(BOB).join(BOB)
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


a_device = st.sampled_from([ANN, BOB, CID, DeviceId("eve")])
a_step = st.one_of(
    st.tuples(st.just("join"), a_device),
    st.tuples(st.just("leave"), a_device),
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
            state = getattr(state, step[0])(step[1])
        assert state.accepted == first
        assert not state.lost & state.expected
        assert state.is_over(30.0) == (len(first) >= quorum)
        assert not state.is_over(0.0) or state.expected <= first.keys()
