"""Real brokers for tests: started, killed, frozen and restarted on the same port."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fedge.transport.broker import RunningBroker, start_broker
from fedge.transport.client import Version
from fedge.transport.programs import BrokerKind
from tests.support.tools import need_tool


class Broker:
    """A broker whose process may die while its address stays."""

    def __init__(self, kind: BrokerKind, folder: Path, version: Version = "5") -> None:
        self.kind: BrokerKind = kind
        self.folder = folder
        self._version: Version = version
        self._running: RunningBroker = start_broker(kind=kind, folder=folder, version=version)
        self.url = self._running.url
        self.port = int(self.url.rpartition(":")[2])

    @property
    def process_id(self) -> int:
        return self._running.process.pid

    def kill(self) -> None:
        """SIGKILL: it says goodbye to nobody and keeps nothing."""
        self._running.process.kill()
        self._running.process.wait()

    def restart(self) -> None:
        """After `kill` or `stop`: a new process on the same port."""
        self._running = start_broker(
            port=self.port, kind=self.kind, folder=self.folder, version=self._version
        )

    def freeze(self) -> None:
        """SIGSTOP: connections stay open but nothing answers."""
        os.kill(self.process_id, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.process_id, signal.SIGCONT)

    def stop(self) -> None:
        if self._running.process.poll() is None:
            self.thaw()
            self._running.stop()


@contextmanager
def running(kind: BrokerKind, folder: Path, version: Version = "5") -> Iterator[Broker]:
    """A broker for the duration of a test, which is skipped if the program is missing."""
    if kind == "mosquitto":
        need_tool("mosquitto")
    broker = Broker(kind, folder, version)
    try:
        yield broker
    finally:
        broker.stop()


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Broker]:
    with running("mosquitto", tmp_path / "broker") as broker:
        yield broker


@pytest.fixture
def old_broker(tmp_path: Path) -> Iterator[Broker]:
    """One that speaks only MQTT 3.1.1."""
    with running("iotcore", tmp_path / "broker", "3.1.1") as broker:
        yield broker


@pytest.fixture(params=["iotcore", "mosquitto"])
def any_broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Broker]:
    with running(request.param, tmp_path / "broker") as broker:
        yield broker
