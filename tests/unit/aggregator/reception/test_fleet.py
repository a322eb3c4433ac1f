"""Who is there: births, wills, jobs and silence."""

from dataclasses import replace

import pytest

from fedge.aggregator.reception.fleet import Fleet
from fedge.messages import DeviceState, Presence
from fedge.types import DeviceId, JobId

ANN, BOB = DeviceId("ann"), DeviceId("bob")
DIGITS = JobId("digits")


def state(presence: Presence = Presence.ONLINE, instance: bytes = b"1" * 8) -> DeviceState:
    return DeviceState(presence=presence, instance=instance, software="x", job=DIGITS)


def a_fleet(**missed: int) -> Fleet:
    silent = {DeviceId(device): n for device, n in missed.items()}
    return Fleet(DIGITS, silent, patience=2, most=3)


def test_a_birth_and_a_will_bring_a_device_and_take_it() -> None:
    fleet = a_fleet()
    assert fleet.hear(ANN, state()) is True
    assert fleet.online == {ANN}
    assert fleet.hear(ANN, state(Presence.OFFLINE)) is False
    assert fleet.online == frozenset()


def test_a_late_will_of_an_earlier_instance_does_not_take_the_device() -> None:
    fleet = a_fleet()
    fleet.hear(ANN, state())
    fleet.hear(ANN, state(instance=b"2" * 8))
    assert fleet.hear(ANN, state(Presence.OFFLINE)) is None
    assert fleet.online == {ANN}


def test_a_farewell_of_a_device_that_was_never_heard_is_one() -> None:
    """It went while nobody listened."""
    assert a_fleet().hear(ANN, state(Presence.OFFLINE)) is False


def test_a_device_of_another_job_is_not_there() -> None:
    fleet = a_fleet()
    assert fleet.hear(ANN, replace(state(), job=JobId("gait"))) is False
    assert fleet.online == frozenset()
    assert fleet.hear(ANN, replace(state(), job=None)) is True  # an older release does not say


def test_a_device_that_changes_to_another_job_has_gone() -> None:
    fleet = a_fleet()
    fleet.hear(ANN, state())
    assert fleet.hear(ANN, replace(state(instance=b"2" * 8), job=JobId("gait"))) is False
    assert fleet.online == frozenset()


def test_a_device_silent_for_too_long_is_not_waited_for_until_it_is_heard() -> None:
    fleet = a_fleet()
    fleet.hear(ANN, state())
    assert fleet.miss([ANN]) == frozenset()
    assert fleet.online == {ANN}
    assert fleet.miss([ANN]) == {ANN}
    assert fleet.online == frozenset()
    assert fleet.hear(ANN, state()) is None  # what the broker has kept is no sign of life
    assert fleet.notice(ANN)
    assert fleet.online == {ANN}
    assert not fleet.notice(ANN)


def test_silence_is_remembered_by_the_next_process() -> None:
    fleet = a_fleet(ann=2, bob=1)
    assert fleet.hear(ANN, state()) is None
    assert fleet.hear(BOB, state()) is True
    assert fleet.online == {BOB}


def test_one_sign_of_life_makes_up_for_the_rounds_missed_before() -> None:
    fleet = a_fleet(ann=1)
    fleet.hear(ANN, state())
    fleet.notice(ANN)
    assert fleet.miss([ANN]) == frozenset()


@pytest.mark.parametrize("device", ["d3", "d4"])
def test_no_more_devices_are_waited_for_than_the_settings_say(device: str) -> None:
    fleet = a_fleet()
    for name in ("d0", "d1", "d2"):
        fleet.hear(DeviceId(name), state())
    assert fleet.hear(DeviceId(device), state()) is None
    assert fleet.online == {"d0", "d1", "d2"}
    assert fleet.n_crowded_out == 1
    fleet.drop(DeviceId("d0"))
    assert fleet.hear(DeviceId(device), state()) is True
