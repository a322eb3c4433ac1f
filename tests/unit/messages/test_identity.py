"""The twin rule."""

import itertools

import pytest

from fedge.messages import DeviceState, Presence
from fedge.messages.identity import Verdict, judge

SMALL, LARGE = b"\x00" * 8, b"\xff" * 8


def state(
    instance: bytes, *, claim: bool = False, presence: Presence = Presence.ONLINE
) -> DeviceState:
    return DeviceState(presence=presence, instance=instance, software="fedge 0", claim=claim)


def verdict(
    read: DeviceState, me: bytes, *, is_retained: bool = False, for_s: float = 0
) -> Verdict:
    return judge(read, is_retained=is_retained, instance=me, connected_for_s=for_s)


def test_the_own_birth_and_the_own_claim_are_no_news() -> None:
    assert verdict(state(SMALL), SMALL, for_s=9) is Verdict.IGNORE
    assert verdict(state(SMALL, claim=True), SMALL, for_s=9) is Verdict.IGNORE


@pytest.mark.parametrize("presence", list(Presence))
def test_a_retained_state_proves_nobody_alive(presence: Presence) -> None:
    assert verdict(state(LARGE, presence=presence), SMALL, is_retained=True) is Verdict.IGNORE
    assert verdict(state(LARGE, claim=True), SMALL, is_retained=True) is Verdict.IGNORE


def test_a_settled_device_claims_its_name_whatever_the_instances_are() -> None:
    assert verdict(state(SMALL), LARGE, for_s=2.1) is Verdict.CLAIM
    assert verdict(state(LARGE), SMALL, for_s=2.1) is Verdict.CLAIM


def test_of_two_newcomers_exactly_one_claims_and_the_other_shows_itself() -> None:
    for one, other in itertools.permutations([SMALL, LARGE, b"\x00" * 7 + b"\x01"], 2):
        claims = [verdict(state(other), one), verdict(state(one), other)]
        assert claims.count(Verdict.CLAIM) == 1
        assert claims.count(Verdict.RENEW) == 1


def test_a_claim_makes_even_a_settled_device_yield() -> None:
    assert verdict(state(LARGE, claim=True), SMALL, for_s=100) is Verdict.YIELD


def test_the_will_of_an_earlier_process_is_answered_with_a_new_birth() -> None:
    gone = state(LARGE, presence=Presence.OFFLINE)
    assert verdict(gone, SMALL, for_s=100) is Verdict.RENEW
