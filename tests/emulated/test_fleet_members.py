"""Who takes part in a fleet, as one writes it on the command line."""

import platform

import pytest

from fedge.errors import ConfigError
from firmware_sim.fleet import members
from firmware_sim.fleet.members import read_members


def test_devices_come_in_the_order_written_with_numbers_of_their_own() -> None:
    found = read_members("zero2w:2, pi4, host:1")
    assert [member.id for member in found] == ["zero2w-1", "zero2w-2", "pi4-1", "host-1"]
    boards = [member.board.name if member.board else None for member in found]
    assert boards == ["zero2w", "zero2w", "pi4", None]


@pytest.mark.parametrize("name", ["host", "x86", "x86_64"])
def test_this_machine_has_several_names_where_they_are_true(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    (member,) = read_members(name)
    assert member.board is None
    assert member.id == f"{name}-1"


def test_an_arm_machine_does_not_pass_for_an_x86_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert read_members("aarch64")[0].board is None
    with pytest.raises(ConfigError, match="x86 is not this machine, which is aarch64: write host"):
        read_members("x86:1")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("pi9", "there is no board 'pi9'"),
        ("", "there is no board ''"),
        ("pi4,", "there is no board ''"),
        ("pi4:0", "a number from 1 to 64"),
        ("pi4:-1", "a number from 1 to 64"),
        ("pi4:", "a number from 1 to 64"),
        ("pi4:two", "a number from 1 to 64"),
        ("pi4:\N{SUPERSCRIPT TWO}", "a number from 1 to 64"),
        ("pi4:65", "a number from 1 to 64"),
        ("pi4:1,pi4:2", "names pi4 twice"),
        ("pi4:40,pi3:25", "at most 64 devices, found 65"),
    ],
)
def test_what_makes_no_fleet_is_refused_with_a_sentence(text: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        read_members(text)


def test_as_many_devices_as_are_allowed_are_allowed() -> None:
    assert len(read_members(f"pi4:{members.MOST}")) == 64
