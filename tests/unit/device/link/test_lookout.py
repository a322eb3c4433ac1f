"""A device that hears no round logs what it does hear."""

import logging
from pathlib import Path

import pytest

from fedge.device import Device
from fedge.device.link.lookout import AGAIN_S, LOOK_S, PATIENCE_S
from fedge.messages import AggregatorState, Presence
from fedge.messages.topics import ANY_AGGREGATOR
from fedge.transport import Undelivered
from fedge.types import JobId
from tests.support.device_scene import Scene
from tests.support.scripted_aggregator import FLEET, JOB


@pytest.fixture
def scene(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Scene:
    caplog.set_level(logging.INFO)
    return Scene(tmp_path)


def bear(scene: Scene, fleet: str, job: str, presence: Presence = Presence.ONLINE) -> None:
    """The retained state of an aggregator."""
    state = AggregatorState(
        presence=presence, instance=bytes(8), software="x", job=JobId(job), run=b"run1"
    )
    topic = f"fedge/v1/{fleet}/srv/of-{job}/state"
    scene.bus.deliver("another", topic, state.to_bytes(), retain=True)


def wait(scene: Scene, device: Device, seconds: float) -> None:
    """Time passes in steps of half a second."""
    end_s = scene.now_s + seconds
    while scene.now_s < end_s:
        scene.settle(device)
        scene.now_s += 0.5


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.message for one in caplog.records if one.message.startswith("no round of job")]


def looks(scene: Scene) -> bool:
    return ANY_AGGREGATOR in scene.transport.filters


def test_the_fleets_and_jobs_that_are_there_are_named(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    bear(scene, "factory", "motors")
    bear(scene, "factory", "belts", Presence.OFFLINE)
    bear(scene, FLEET, "digit")
    device = scene.device()
    wait(scene, device, PATIENCE_S - 1)
    assert not looks(scene)
    wait(scene, device, 2)
    assert looks(scene)
    wait(scene, device, LOOK_S + 1)
    assert not looks(scene)
    (line,) = said(caplog)
    assert line == (
        f"no round of job {JOB} in fleet {FLEET} for 18 s; heard fleet factory: job belts (not "
        f"running), motors; fleet {FLEET}: job digit: are --fleet and --job right?"
    )
    device.close()


def test_if_there_is_nothing_it_asks_once_whether_an_aggregator_runs(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    device = scene.device()
    wait(scene, device, PATIENCE_S + LOOK_S + AGAIN_S + LOOK_S + 5)
    (line,) = said(caplog)
    assert "heard no aggregator of any fleet: is one running on this broker?" in line
    assert not looks(scene)
    bear(scene, "factory", "motors")
    wait(scene, device, AGAIN_S + LOOK_S + 5)
    assert len(said(caplog)) == 2  # there is something new now
    device.close()


@pytest.mark.parametrize(
    ("presence", "words"),
    [
        (Presence.ONLINE, "its aggregator is running but has opened none yet"),
        (Presence.OFFLINE, "its aggregator is gone"),
    ],
)
def test_its_own_aggregator_is_named_if_it_has_opened_no_round(
    scene: Scene, caplog: pytest.LogCaptureFixture, presence: Presence, words: str
) -> None:
    bear(scene, FLEET, JOB, presence)
    bear(scene, "factory", "motors")
    device = scene.device()
    wait(scene, device, PATIENCE_S + LOOK_S + 2)
    (line,) = said(caplog)
    assert words in line
    device.close()


def test_a_device_that_hears_its_round_does_not_look_around(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    device = scene.device()
    wait(scene, device, PATIENCE_S + 1)
    assert looks(scene)
    scene.aggregator.announce(1)
    wait(scene, device, 2)
    assert not looks(scene)
    wait(scene, device, AGAIN_S)
    assert not looks(scene)
    assert said(caplog) == []
    device.close()


def test_a_broker_that_refuses_is_named_and_not_asked_again(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    device = scene.device()
    wait(scene, device, PATIENCE_S + 1)
    with scene.bus.changed:
        scene.transport.push(Undelivered(ANY_AGGREGATOR, "not subscribed: not authorized"))
    wait(scene, device, 2)
    (line,) = said(caplog)
    assert line.endswith(
        "heard no aggregator; as for the broker, it does not let this device see other fleets: "
        "not subscribed: not authorized"
    )
    scene.bus.cut(scene.transport)
    scene.bus.join(scene.transport)
    wait(scene, device, PATIENCE_S + LOOK_S + 1)
    assert not looks(scene)
    device.close()


def test_a_broker_that_hangs_up_is_not_asked_again(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    device = scene.device()
    wait(scene, device, PATIENCE_S + 1)
    scene.bus.cut(scene.transport)
    scene.bus.join(scene.transport)
    wait(scene, device, AGAIN_S)
    (line,) = said(caplog)
    assert "it hung up when this device looked around" in line
    assert not looks(scene)
    device.close()


def test_strangers_messages_do_no_harm_and_a_thousand_jobs_end_the_look(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    scene.bus.deliver("x", "fedge/v1/evil/srv/a/state", b"\xff\x00", retain=True)
    scene.bus.deliver("x", "fedge/v1/bad name\n/srv/a/state", b"\xff\x00", retain=True)
    for number in range(1000):
        bear(scene, f"fleet-{number:04}", "job")
    device = scene.device()
    wait(scene, device, PATIENCE_S + LOOK_S + 2)
    (line,) = said(caplog)
    assert line.count("job job") == 16
    assert "; and more" in line
    device.close()
