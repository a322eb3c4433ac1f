"""A device and the real aggregator on one bus: models come as broadcasts."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fedge.aggregator import Aggregator, Clock
from fedge.config.aggregator import AggregatorConfig
from fedge.device import Device
from fedge.messages import BlobRequest, RoundManifest, RoundState, Topics
from fedge.types import JobId
from tests.support.bus import Bus
from tests.support.device_scene import examples
from tests.support.models import linear

ARTIFACT = linear(n_in=2000)  # 8 004 bytes
TOPICS, JOB = Topics("default"), JobId("default")


class Scene:
    """An aggregator and devices that come and go; the clock moves by their pauses."""

    def __init__(self, folder: Path, **settings: object) -> None:
        self.folder, self.now_s, self.bus = folder, 100.0, Bus()
        ARTIFACT.save(folder / "model.fedge")
        config = AggregatorConfig(
            artifact=folder / "model.fedge", state_dir=folder / "aggregator",
            lr=1e-4, local_steps=1, evaluate_every=0, **settings,  # type: ignore[arg-type] # the test's own
        )  # fmt: skip
        clock = Clock(monotonic=lambda: self.now_s)
        transport = self.bus.transport("aggregator")
        self.aggregator = Aggregator(config, transport=transport, clock=clock)
        self.devices: dict[str, Device] = {}

    def add(self, name: str) -> Device:
        self.devices[name] = Device(
            id=name, state_dir=self.folder / name, data=examples(n_in=2000),
            transport=self.bus.transport(name), clock=lambda: self.now_s,
        )  # fmt: skip
        return self.devices[name]

    def take_away(self, name: str) -> None:
        self.devices.pop(name).close()

    def play_to(self, round_: int) -> None:
        """Play until this round is open."""
        for _ in range(5000):
            manifest = self.manifest
            if manifest and (manifest.round >= round_ or manifest.state is RoundState.FINISHED):
                return
            self.aggregator.step()
            self.now_s += min((d.step() for d in self.devices.values()), default=0.1)
        raise AssertionError(f"round {round_} was never opened")

    @property
    def manifest(self) -> RoundManifest | None:
        data = self.bus.retained.get(TOPICS.round(JOB))
        return RoundManifest.from_bytes(data) if data else None

    def requests(self, name: str) -> list[str]:
        """Keys of the blobs a device has requested since the last call, oldest first."""
        topic = TOPICS.device_get(name)
        found = [BlobRequest.from_bytes(s.payload).key for s in self.bus.log if s.topic == topic]
        self.bus.log[:] = [sent for sent in self.bus.log if sent.topic != topic]
        return found

    def close(self) -> None:
        for name in list(self.devices):
            self.take_away(name)
        self.aggregator.close()


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path, rounds=30, downlink_codec="topk:0.01/sign")
    yield made
    made.close()


def test_a_device_that_stays_fetches_one_broadcast_per_round_and_never_a_model(
    scene: Scene,
) -> None:
    scene.add("ann")
    scene.play_to(1)
    for round_ in range(2, 12):
        scene.play_to(round_)
        told = scene.manifest
        assert told is not None
        scene.requests("ann")
        scene.play_to(round_ + 1)
        assert scene.requests("ann") == [told.catch_up[0].blob.key]
    assert scene.devices["ann"].report()["updates_refused"] == 0


@pytest.mark.parametrize("n_missed", [1, 5, 12])
def test_a_device_that_was_away_catches_up_with_one_request(scene: Scene, n_missed: int) -> None:
    scene.add("ann")
    scene.add("bob")
    scene.play_to(4)
    scene.take_away("bob")  # it has answered round 3
    scene.play_to(4 + n_missed)
    told = scene.manifest
    assert told is not None
    scene.requests("bob")
    bob = scene.add("bob")
    scene.play_to(told.round + 1)
    reaching = [way.blob for way in told.catch_up if way.n_rounds >= told.round - 3]
    assert scene.requests("bob") == [min(reaching, key=lambda blob: blob.size_bytes).key]
    assert bob.report()["updates_accepted"] == 1


def test_a_newcomer_starts_from_the_artifact_and_broadcasts(scene: Scene) -> None:
    scene.add("ann")
    scene.play_to(9)
    told = scene.manifest
    assert told is not None
    scene.add("bob")
    scene.play_to(told.round + 1)
    assert scene.requests("bob") == [told.artifact.key, told.catch_up[1].blob.key]
    assert told.catch_up[1].n_rounds == 8


def test_whole_models_can_be_configured(tmp_path: Path) -> None:
    scene = Scene(tmp_path, rounds=3, downlink_codec="none")
    scene.add("ann")
    scene.play_to(2)
    told = scene.manifest
    assert told is not None
    scene.requests("ann")
    scene.play_to(3)
    assert scene.requests("ann") == [told.model.key]
    scene.close()
