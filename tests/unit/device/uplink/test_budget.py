"""How a device measures its link, with the test's own clock and link. Sends may take 8 s."""

from pathlib import Path

import pytest

from fedge.device.state.database import Database
from fedge.device.uplink.budget import UploadBudget
from fedge.types import RoundId
from tests.support.bus import Bus

ONE, TWO = RoundId(1), RoundId(2)


class Scene:
    """A device's state folder, and a link that is idle when the test says so."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.is_idle = folder, False
        self.transport = Bus().transport("pi-3")
        self.transport.flush = lambda timeout_s: self.is_idle  # type: ignore[method-assign]

    def uplink(
        self, upload_time_s: float | None = 8.0, most_bytes: int | None = None
    ) -> UploadBudget:
        """The budget of a newly started device."""
        database = Database(self.folder / "outbox.sqlite3", fleet="home", device="pi-3")
        return UploadBudget(
            self.transport, database, upload_time_s=upload_time_s, most_bytes=most_bytes
        )

    def send(self, uplink: UploadBudget, n_bytes: int, took_s: float) -> None:
        self.is_idle = False
        uplink.began(n_bytes, 100.0)
        uplink.look(100.0)
        self.is_idle = True
        uplink.look(100.0 + took_s)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def test_without_a_time_and_a_budget_the_plan_chooses(scene: Scene) -> None:
    uplink = scene.uplink(upload_time_s=None)
    scene.send(uplink, 4096, 4.0)
    assert uplink.choose(ONE) is None
    assert uplink.budgets == {}
    assert uplink.bytes_per_s is None


def test_a_given_budget_is_kept_whatever_the_link_carries(scene: Scene) -> None:
    assert scene.uplink(upload_time_s=None, most_bytes=700).choose(ONE) == 700
    uplink = scene.uplink(most_bytes=10_000)
    assert uplink.choose(ONE) == 4096
    scene.send(uplink, 4096, 1.0)
    assert uplink.choose(TWO) == 10_000  # the link would carry 32 768
    assert uplink.budgets == {ONE: 4096, TWO: 10_000}


def test_a_send_ends_when_the_broker_has_everything(scene: Scene) -> None:
    uplink = scene.uplink()
    uplink.began(4096, 10.0)
    uplink.look(11.0)
    assert uplink.choose(ONE) == 4096
    scene.is_idle = True
    uplink.look(12.0)
    assert uplink.bytes_per_s == 2048
    assert uplink.choose(TWO) == 16_384


def test_overlapping_sends_count_as_one(scene: Scene) -> None:
    uplink = scene.uplink()
    uplink.began(4000, 10.0)
    uplink.began(12_000, 12.0)
    scene.is_idle = True
    uplink.look(14.0)
    assert uplink.bytes_per_s == 4000  # 16 000 bytes from 10 s to 14 s


def test_a_broken_link_halves_the_budget(scene: Scene) -> None:
    uplink = scene.uplink()
    scene.send(uplink, 4000, 2.0)
    assert uplink.choose(ONE) == 16_000
    scene.is_idle = False
    uplink.began(16_000, 10.0)
    uplink.lost(10.5)
    assert uplink.choose(TWO) == 8000
    scene.is_idle = True
    uplink.look(11.0)  # what was lost has not arrived
    assert uplink.choose(TWO) == 8000


def test_a_broken_link_that_carried_nothing_proves_nothing(scene: Scene) -> None:
    uplink = scene.uplink()
    scene.send(uplink, 4000, 2.0)
    uplink.lost(20.0)
    assert uplink.choose(ONE) == 16_000


def test_a_send_has_failed_after_twice_the_time_even_before_it_ends(scene: Scene) -> None:
    uplink = scene.uplink()
    scene.send(uplink, 4000, 2.0)
    scene.is_idle = False
    uplink.began(16_000, 10.0)
    uplink.look(26.0)
    assert uplink.choose(ONE) == 16_000
    uplink.look(26.1)
    assert uplink.choose(ONE) == 7950  # 16 000 bytes in 16.1 s, where 8 s are allowed
    uplink.look(40.0)
    assert uplink.choose(ONE) == 7950  # a send fails only once
    scene.is_idle = True
    uplink.look(74.0)  # 16 000 bytes in 64 s is the slower of two
    assert uplink.choose(TWO) == 2000


def test_measurements_survive_a_restart(scene: Scene) -> None:
    before = scene.uplink()
    for took_s in (4.0, 2.0, 1.0, 2.5):
        scene.send(before, 10_000, took_s)
    again = scene.uplink()
    assert again.bytes_per_s == before.bytes_per_s == 5000  # of 5000, 10 000 and 4000
    assert scene.uplink(upload_time_s=2.0).choose(ONE) == 10_000


def test_a_send_under_way_is_checked_a_hundred_times(scene: Scene) -> None:
    uplink = scene.uplink()
    assert uplink.pause_s == float("inf")
    uplink.began(1, 0.0)
    assert uplink.pause_s == 0.08
    scene.is_idle = True
    uplink.look(1.0)
    assert uplink.pause_s == float("inf")
