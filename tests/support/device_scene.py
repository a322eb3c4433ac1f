"""A device on a bus in memory, an aggregator that a test drives, and a clock that it moves."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fedge.artifact import Artifact
from fedge.device import Device
from fedge.device.state.outbox import Outbox
from fedge.messages import AggregatorState, DeviceState, Presence
from fedge.training import ArrayData
from tests.support import models
from tests.support.bus import Bus
from tests.support.scripted_aggregator import FLEET, JOB, ScriptedAggregator

ROUND = f"fedge/v1/{FLEET}/job/{JOB}/round"
STATE = f"fedge/v1/{FLEET}/dev/pi-3/state"
GOODBYE = DeviceState(presence=Presence.OFFLINE, instance=b"before!!", software="x").to_bytes()


def examples(n: int = 12, n_in: int = 2) -> ArrayData:
    rng = np.random.default_rng(5)
    x = rng.normal(size=(n, n_in)).astype(np.float32)
    return ArrayData({"x": x}, x.sum(axis=1, keepdims=True))


class Scene:
    """A bus, an aggregator, a clock that the test moves, and devices that can be killed."""

    def __init__(self, folder: Path, artifact: Artifact | None = None) -> None:
        self.folder, self.now_s = folder, 100.0
        self.artifact = artifact or models.linear()
        self.bus = Bus()
        self.aggregator = ScriptedAggregator(self.bus.transport("aggregator"), self.artifact)
        self.transport = self.bus.transport("pi-3", will=(STATE, GOODBYE))

    def device(
        self, name: str = "pi-3", data: ArrayData | str | None = None, **changes: Any
    ) -> Device:
        self.transport = self.bus.transport(name, will=(STATE, GOODBYE))
        options = {"state_dir": self.folder / "state", **changes}
        return Device(
            fleet=FLEET, job=JOB, id="pi-3", transport=self.transport, clock=lambda: self.now_s,
            data=data or examples(n_in=self.artifact.manifest.inputs[0].shape[0]), **options,
        )  # fmt: skip

    def kill(self, device: Device) -> None:
        """End a device without a goodbye; the operating system lets go of its lock."""
        self.transport.kill()
        device._lock.release()

    def bear_aggregator(self, run: bytes = b"run1") -> None:
        """A new aggregator says that it is there."""
        birth = AggregatorState(
            presence=Presence.ONLINE, instance=bytes(8), software="x", job=JOB, run=run
        )
        topic = f"fedge/v1/{FLEET}/srv/main/state"
        self.bus.deliver("aggregator", topic, birth.to_bytes(), retain=True)

    def run_until(self, device: Device, is_there: Callable[[], bool], n_steps: int = 300) -> None:
        """Let both work, the clock moving by what the device asks for, until this holds."""
        for _ in range(n_steps):
            if is_there():
                return
            self.now_s += device.step()
            self.aggregator.work()
        raise AssertionError(f"it did not happen; the device is {device.phase}")

    def settle(self, device: Device) -> None:
        """Let both work until nothing happens any more."""
        for _ in range(2000):
            if device.step() > 0:
                self.aggregator.work()
                if device.step() > 0:
                    return
            self.aggregator.work()
        raise AssertionError("it does not come to rest")


def pending(folder: Path) -> list[bytes]:
    """What lies in a device's outbox, read as another process would."""
    box = Outbox(folder / "state" / "outbox.sqlite3", fleet=FLEET, device="pi-3")
    found = box.pending()
    box.close()
    return found
