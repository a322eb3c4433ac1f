"""A fleet of real devices and real aggregators on one bus, with a clock that is moved by hand.

Everything that happens follows from a seed: the order in which processes move, the faults, the
devices' random choices. A failure can be reproduced with the seed in its message.
"""

import random
import shutil
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fedge import codecs
from fedge.aggregator import Aggregator, Clock
from fedge.artifact import Artifact
from fedge.config.aggregator import AggregatorConfig
from fedge.device import Device
from fedge.device.state.outbox import Outbox, Result
from fedge.device.work.learner import Encoded, Learner
from fedge.errors import IdentityError
from fedge.training import ArrayData
from fedge.types import JobId, Update, Vector
from tests.support.bus import Bus, BusTransport
from tests.support.models import linear

TICK_S = 0.25


@dataclass
class Books:
    """What one device has learned, and what it says became of it; by nonce.

    Attributes:
        learned: the delta of each update, as training produced it.
        sent: its payload.
        given_back: refused updates that went back into the residual.
        dropped: updates that are gone for good, as the log said.
    """

    learned: dict[bytes, Vector] = field(default_factory=dict)
    sent: dict[bytes, bytes] = field(default_factory=dict)
    given_back: set[bytes] = field(default_factory=set)
    dropped: set[bytes] = field(default_factory=set)
    was_restored: bool = False


class Process(ABC):
    """A device or an aggregator that can be killed, restored and restarted."""

    def __init__(self, world: "World", name: str, folder: Path) -> None:
        self.world, self.name, self.folder = world, name, folder
        self.transport: BusTransport | None = None
        self.core: Any = None
        self.is_linked = True

    @property
    def is_up(self) -> bool:
        return self.core is not None

    def kill(self, *, silently: bool = False) -> None:
        """The process is gone; `silently` if the broker does not notice."""
        if self.core is None or self.transport is None:
            return
        if silently:
            self.transport.will = None
        self.transport.kill()
        self._release()
        self.core = self.transport = None

    def leave(self) -> None:
        """It is shut down in an orderly way, and says goodbye."""
        if self.core is not None:
            self.core.close()
            self.core = self.transport = None

    def save(self) -> Path:
        """A copy of its folder, as if from a stopped machine."""
        was_up = self.is_up
        self.kill()
        copy = self.folder.with_name(f"{self.folder.name}.saved")
        shutil.rmtree(copy, ignore_errors=True)
        if self.folder.is_dir():
            shutil.copytree(self.folder, copy)
        if was_up:
            self.start()
        return copy

    def put_back(self, copy: Path) -> None:
        """Restore its folder to a saved copy."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
        if copy.is_dir():
            shutil.copytree(copy, self.folder)
        self.start()

    def cut(self) -> None:
        if self.transport is not None and self.is_linked:
            self.world.bus.cut(self.transport)
            self.is_linked = False

    def join(self) -> None:
        if self.transport is not None and not self.is_linked:
            self.world.bus.join(self.transport)
        self.is_linked = True

    @abstractmethod
    def start(self) -> None:
        """Start in its folder, unless it is running."""

    @abstractmethod
    def step(self) -> None:
        """Do whatever is due now."""

    @abstractmethod
    def _release(self) -> None:
        """Release files, as a process does when it ends."""


class AggregatorProcess(Process):
    def __init__(self, world: "World", job: str, settings: dict[str, Any]) -> None:
        super().__init__(world, f"aggregator-{job}", world.folder / f"job-{job}")
        self.job, self.settings = JobId(job), settings

    def start(self) -> None:
        if self.core is not None:
            return
        config = AggregatorConfig(
            job=self.job, name=self.name, artifact=self.world.artifact_path,
            state_dir=self.folder, evaluate_every=0, **self.settings,
        )  # fmt: skip
        self.transport, self.is_linked = self.world.bus.transport(self.name), True
        self.core = Aggregator(config, transport=self.transport, clock=self.world.clock)

    def step(self) -> None:
        if self.core is None:
            return
        is_going_on = self.core.step()
        if self.transport is not None and self.core._session is not None:
            self.transport.will = self.core._session._membership.will
        if not is_going_on:
            self.leave()

    def _release(self) -> None:
        self.core._session = None
        self.core._resources.close()


class DeviceProcess(Process):
    def __init__(self, world: "World", name: str, job: str) -> None:
        super().__init__(world, name, world.folder / name)
        self.job, self.books = job, Books()
        numbers = np.random.default_rng(world.rng.randrange(2**32))
        x = numbers.normal(size=(12, 2)).astype(np.float32)
        self.data = ArrayData({"x": x}, x.sum(axis=1, keepdims=True))

    def start(self) -> None:
        if self.core is not None:
            return
        self.transport, self.is_linked = self.world.bus.transport(self.name), True
        self.core = Device(
            id=self.name, job=self.job, data=self.data, state_dir=self.folder,
            transport=self.transport, clock=lambda: self.world.now_s,
        )  # fmt: skip
        self.transport.will = self.core._membership.will

    def put_back(self, copy: Path) -> None:
        self.books.was_restored = True
        super().put_back(copy)

    def step(self) -> None:
        if self.core is None:
            return
        self.world.stepping = self
        try:
            for _ in range(40):
                if self.core.step() > 0:
                    break
        except IdentityError:
            self.leave()
        finally:
            self.world.stepping = None

    def _release(self) -> None:
        self.core._outbox.database._db.close()
        self.core._lock.release()


class World:
    """All processes of a test.

    Attributes:
        rng: for every random choice.
        stepping: the device that is currently at work.
    """

    def __init__(self, folder: Path, seed: int, patch: pytest.MonkeyPatch) -> None:
        self.folder, self.rng = folder, random.Random(seed)  # noqa: S311 - replayable
        self.bus, self.now_s = Bus(), 1000.0
        self.artifact: Artifact = linear()
        self.artifact_path = folder / "model.fedge"
        self.artifact.save(self.artifact_path)
        self.aggregators: dict[str, AggregatorProcess] = {}
        self.devices: dict[str, DeviceProcess] = {}
        self.stepping: DeviceProcess | None = None
        self._seed_jitter(patch)
        self._keep_books(patch)

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.now_s)

    def add_job(self, job: str, n_devices: int, **settings: Any) -> AggregatorProcess:
        """An aggregator and its devices, all started."""
        self.aggregators[job] = AggregatorProcess(self, job, settings)
        self.aggregators[job].start()
        for index in range(n_devices):
            name = f"{job}-{index}"
            self.devices[name] = DeviceProcess(self, name, job)
            self.devices[name].start()
        return self.aggregators[job]

    @property
    def processes(self) -> list[Process]:
        return [*self.aggregators.values(), *self.devices.values()]

    def live(self, seconds: float) -> None:
        """Everybody moves, in any order, while this much time passes."""
        for _ in range(round(seconds / TICK_S)):
            processes = self.processes
            self.rng.shuffle(processes)
            for process in processes:
                process.step()
            self.now_s += TICK_S

    def close(self) -> None:
        for process in self.processes:
            process.kill()

    def _seed_jitter(self, patch: pytest.MonkeyPatch) -> None:
        own = random.Random(self.rng.random())  # noqa: S311 - replayable
        patch.setattr("os.urandom", own.randbytes)
        patch.setattr("secrets.token_bytes", own.randbytes)
        seeded = SimpleNamespace(Random=lambda: random.Random(own.random()))  # noqa: S311
        patch.setattr("fedge.device.parts.random", seeded)

    def _keep_books(self, patch: pytest.MonkeyPatch) -> None:
        """Record what every device learns, and what becomes of it on the device's side."""
        encode, put = Learner.encode, Outbox.put
        refuse, forget = Outbox.refuse, Outbox.forget
        last: list[Vector] = []

        def kept_encode(self: Learner, update: Update, *args: Any, **more: Any) -> Encoded:
            last[:] = [update.delta.copy()]
            return encode(self, update, *args, **more)

        def kept_put(self: Outbox, result: Result, **more: Any) -> None:
            put(self, result, **more)
            books().learned[result.nonce] = last[0]
            books().sent[result.nonce] = result.payload

        def kept_refuse(self: Outbox, nonce: bytes) -> bool:
            was_kept = refuse(self, nonce)
            (books().given_back if was_kept else books().dropped).add(nonce)
            return was_kept

        def kept_forget(self: Outbox, job: JobId) -> None:
            books().dropped.update(self.pending())
            books().was_restored = True  # or so it believes: the residual is gone
            forget(self, job)

        def books() -> Books:
            assert self.stepping is not None
            return self.stepping.books

        patch.setattr(Learner, "encode", kept_encode)
        patch.setattr(Outbox, "put", kept_put)
        patch.setattr(Outbox, "refuse", kept_refuse)
        patch.setattr(Outbox, "forget", kept_forget)


def left_behind(device: DeviceProcess) -> tuple[Vector, set[bytes]]:
    """A stopped device's residual, and the nonces in its outbox."""
    box = Outbox(device.folder / "outbox.sqlite3", fleet="default", device=device.name)
    try:
        schema = device.world.artifact.schema
        residual = box.residual(JobId(device.job), schema)
        n_params = device.world.artifact.n_trainable
        return np.zeros(n_params, np.float32) if residual is None else residual, set(box.pending())
    finally:
        box.close()


def value(payload: bytes, n_params: int) -> Vector:
    """A payload's dense delta, float64."""
    total = np.zeros(n_params, np.float32)
    codecs.accumulate(payload, 1.0, total)
    return total.astype(np.float64)
