"""What an update costs an aggregator, counted and not timed: it must not grow with the fleet."""

import gc
import statistics
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import numpy as np
import pytest

import fedge
from fedge import codecs
from fedge.aggregator import Aggregator
from fedge.codecs import Stamp
from fedge.config.aggregator import AggregatorConfig
from fedge.messages import DeviceState, Presence, RoundManifest, Topics, split_update
from fedge.types import RoundId
from tests.support.aggregator_by_hand import HandClock
from tests.support.bus import Bus
from tests.support.models import softmax

FEW, MANY = 200, 2000
MOST_CALLS = 130  # of functions, in Python or C, by fedge; 120 when this was written
MOST_BLOCKS = 8  # of memory that an update of an open round leaves behind; 5 then
TOPICS = Topics("default")
FEDGE = str(Path(fedge.__file__).parent)


class Round:
    """An aggregator with an open round of so many devices, and one more that never answers."""

    def __init__(self, folder: Path, n_devices: int) -> None:
        folder.mkdir()
        self.artifact = softmax(n_in=1000)
        self.artifact.save(folder / "model.fedge")
        self.bus = Bus(mqtt5=False)  # so that nobody says that nobody listens
        self.names = [f"device-{index:05}" for index in range(n_devices + 1)]
        config = AggregatorConfig(
            artifact=folder / "model.fedge",
            state_dir=folder / "state",
            codec="topk:0.2/sign",
            wait_for=n_devices + 1,
            quorum=1,
        )
        transport = self.bus.transport("aggregator", receive_maximum=2048)
        self.aggregator = Aggregator(config, transport=transport, clock=HandClock().clock)
        self.aggregator.step()
        birth = DeviceState(presence=Presence.ONLINE, instance=bytes(8), software="scripted")
        for name in self.names:
            self.bus.deliver(name, TOPICS.device_state(name), birth.to_bytes(), retain=True)
        while TOPICS.round("default") not in self.bus.retained:
            self.aggregator.step()
        manifest = RoundManifest.from_bytes(self.bus.retained[TOPICS.round("default")])
        self.run, self.number = manifest.run, manifest.round
        self.payload = self._payload()

    def send(self, *names: str) -> None:
        for name in names:
            nonce = name[-8:].encode()
            (chunk,) = split_update(self.payload, self.run, RoundId(self.number), nonce)
            topic = TOPICS.up("default", name, 1)
            self.bus.deliver(name, topic, chunk.to_bytes(), retain=False)

    @property
    def n_accepted(self) -> int:
        round_ = self.aggregator._job.round
        assert round_ is not None
        return len(round_.accepted)

    def _payload(self) -> bytes:
        n = self.artifact.n_trainable
        rng = np.random.default_rng(0)
        delta = rng.normal(size=n).astype(np.float32)
        stamp = Stamp(schema=self.artifact.schema[:4], round=self.number, n_examples=5)
        return codecs.get("topk:0.2/sign").encode(delta, np.zeros_like(delta), rng, stamp=stamp)


def calls_of(act: Callable[[], object]) -> int:
    """How many functions fedge calls: its own, and those of C."""
    n_calls = 0

    def count(frame: FrameType, event: str, _argument: object) -> None:
        nonlocal n_calls
        n_calls += event in ("call", "c_call") and frame.f_code.co_filename.startswith(FEDGE)

    sys.setprofile(count)
    try:
        act()
    finally:
        sys.setprofile(None)
    return n_calls


def take_all(folder: Path, n_devices: int) -> tuple[float, float]:
    """Calls, and blocks of memory left behind, for each update of a group of them."""
    scene = Round(folder, n_devices)
    scene.send(*scene.names[:10])  # what is made at the first is made
    scene.aggregator.step()
    n_updates = n_devices - 10
    scene.bus.log.clear()
    gc.collect()
    n_before = sys.getallocatedblocks()
    scene.send(*scene.names[10:-1])
    n_calls = calls_of(scene.aggregator.step)
    assert scene.n_accepted == n_devices
    assert len(scene.bus.log) == 2 * n_updates  # each was answered
    scene.bus.log.clear()
    gc.collect()
    n_blocks = sys.getallocatedblocks() - n_before
    scene.aggregator.close()
    return n_calls / n_updates, n_blocks / n_updates


def peak_of_one(folder: Path, n_devices: int) -> float:
    """Bytes of memory that one update needs at the moment of most, when nearly all are in."""
    scene = Round(folder, n_devices)
    scene.send(*scene.names[:-30])
    while scene.n_accepted < n_devices - 29:
        scene.aggregator.step()
    peaks = []
    for name in scene.names[-30:-1]:
        scene.send(name)
        tracemalloc.start()
        scene.aggregator.step()
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert scene.n_accepted == n_devices
    scene.aggregator.close()
    return statistics.median(peaks)


@pytest.fixture(scope="module")
def costs(tmp_path_factory: pytest.TempPathFactory) -> dict[int, tuple[float, float]]:
    folder = tmp_path_factory.mktemp("costs")
    return {n: take_all(folder / str(n), n) for n in (FEW, MANY)}


def test_an_update_takes_as_many_calls_in_a_large_fleet(
    costs: dict[int, tuple[float, float]],
) -> None:
    (few, _), (many, _) = costs[FEW], costs[MANY]
    assert many < 1.1 * few
    assert few < MOST_CALLS


def test_an_update_leaves_as_much_behind_in_a_large_fleet(
    costs: dict[int, tuple[float, float]],
) -> None:
    (_, few), (_, many) = costs[FEW], costs[MANY]
    assert many < 1.1 * few
    assert few < MOST_BLOCKS


def test_an_update_copies_nothing_that_grows_with_the_fleet(tmp_path: Path) -> None:
    few, many = (peak_of_one(tmp_path / str(n), n) for n in (FEW, MANY))
    assert many < 1.1 * few
