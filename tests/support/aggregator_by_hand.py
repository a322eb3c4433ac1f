"""An aggregator and scripted devices on one bus, moved by hand."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from fedge.aggregator import Aggregator, Clock
from fedge.artifact import Artifact
from fedge.config.aggregator import AggregatorConfig
from tests.support.bus import Bus
from tests.support.models import softmax
from tests.support.scripted import ScriptedDevice, will_of


class HandClock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    @property
    def clock(self) -> Clock:
        start = datetime(2026, 1, 31, tzinfo=UTC)
        return Clock(lambda: self.now_s, lambda: start + timedelta(seconds=self.now_s))


class Bench:
    """What a test of the service needs; `settle` lets all parts act until it is quiet."""

    def __init__(
        self, folder: Path, *, artifact: Artifact | None = None, **settings: object
    ) -> None:
        self.bus, self.time = Bus(), HandClock()
        self.artifact = artifact or softmax()
        self.folder = folder
        path = folder / "model.fedge"
        self.artifact.save(path)
        self.settings = {
            "artifact": path,
            "state_dir": folder / "state",
            "events": folder / "events.jsonl",
            "codec": "none",
            "evaluate_every": 0,
            **settings,
        }
        self.devices: dict[str, ScriptedDevice] = {}
        self.n_starts = 0
        self.aggregator = self.begin()

    @property
    def config(self) -> AggregatorConfig:
        return AggregatorConfig(**self.settings)  # type: ignore[arg-type] # the test's own

    def begin(self) -> Aggregator:
        """A new aggregator process on the same state directory."""
        self.n_starts += 1
        self.transport = self.bus.transport(f"aggregator-{self.n_starts}")
        self.aggregator = Aggregator(self.config, transport=self.transport, clock=self.time.clock)
        return self.aggregator

    def kill(self) -> None:
        """The process is gone without a word; only its files are left."""
        self.transport.kill()
        self.aggregator._session = None
        self.aggregator._resources.close()

    def add(self, *names: str, **options: object) -> list[ScriptedDevice]:
        for name in names:
            instance = ScriptedDevice.instance_of(name)
            transport = self.bus.transport(name, will=will_of("default", name, instance))
            self.devices[name] = ScriptedDevice(
                transport,
                name,
                self.artifact,
                **options,  # type: ignore[arg-type] # the test's own
            )
        return [self.devices[name] for name in names]

    def settle(self, *, n_steps: int = 50) -> None:
        """Let everybody act until nobody has anything to do, or so many times."""
        quiet = 0
        for _ in range(n_steps):
            moved = [device.step(self.time.now_s) for device in self.devices.values()]
            before = len(self.bus.log)
            self.aggregator.step()
            quiet = quiet + 1 if not any(moved) and len(self.bus.log) == before else 0
            if quiet > 2:
                return

    def settle_devices(self) -> None:
        """Let the devices read what was sent to them."""
        for device in self.devices.values():
            while device.step(self.time.now_s):
                pass

    def wait(self, seconds: float) -> None:
        """Time passes, and everybody notices."""
        self.time.now_s += seconds
        self.settle()
