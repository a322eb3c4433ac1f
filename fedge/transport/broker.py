"""Starts a broker on this machine, for a benchmark or a demo: mosquitto, else iotcore."""

import ipaddress
import os
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from fedge.errors import ConfigError, TransportError
from fedge.storage import make_private, open_private
from fedge.transport import programs
from fedge.transport.client import Version
from fedge.transport.programs import AnyKind, BrokerKind, Listener
from fedge.transport.url import LOOPBACK

_START_S = 15.0  # on a busy board
_STOP_S = 5.0
_LOG = "broker.log"


@dataclass(frozen=True, slots=True)
class RunningBroker:
    """A broker process; leaving it as a context stops it."""

    kind: BrokerKind
    version: str
    url: str
    process: subprocess.Popen[bytes]
    log_file: Path

    def stop(self) -> None:
        """Ask it to end; after 5 s, kill it."""
        self.process.terminate()
        try:
            self.process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def last_words(self) -> str:
        """The last line it logged."""
        lines = self.log_file.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


def start_broker(
    host: str = LOOPBACK,
    port: int = 0,
    kind: AnyKind = "auto",
    *,
    folder: Path,
    version: Version = "5",
    is_persistent: bool = False,
) -> RunningBroker:
    """Start a broker and wait until it answers.

    It asks nobody for a password, so it listens only on loopback. It has its own
    session: Ctrl-C in the terminal does not reach it, its starter stops it.

    Args:
        host: a loopback address.
        port: where to listen; 0 for a free port.
        kind: which program; auto means mosquitto if it is installed.
        folder: for its configuration and log; created if missing.
        version: of MQTT, for iotcore, which speaks one per port; mosquitto speaks both.
        is_persistent: keep retained messages across restarts in `folder` (mosquitto).

    Raises:
        ConfigError: if the host is not a loopback address, or the program cannot keep messages.
        MissingDependencyError: if there is no such program.
        TransportError: if the port is taken or the broker does not come up.
    """
    if not is_loopback(host):
        raise ConfigError(
            f"host {host!r}: this broker lets everybody in, so it listens on loopback only; "
            "for a network set up a mosquitto with TLS and passwords (docs/brokers.md)"
        )
    found = programs.choose(kind)
    if is_persistent and found != "mosquitto":
        raise ConfigError(
            f"{found} keeps nothing over a restart: for state_dir, apt install mosquitto"
        )
    make_private(folder)  # retained messages are kept there
    port = _claim(host, port)
    command = programs.command(found, Listener(host, port, folder, version, is_persistent))
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    with os.fdopen(open_private(folder / _LOG, flags), "ab") as log:
        process = subprocess.Popen(  # noqa: S603 - our own command, no shell
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    shown = f"[{host}]" if ":" in host else host
    url = f"mqtt://{shown}:{port}"
    broker = RunningBroker(found, programs.version(found), url, process, folder / _LOG)
    _await_answer(broker, host, port)
    return broker


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _claim(host: str, port: int) -> int:
    """The port, if it is free; a free one for 0."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise TransportError(
                f"port {port} of {host} cannot be used: {error.strerror}"
            ) from error
        return int(probe.getsockname()[1])


def _await_answer(broker: RunningBroker, host: str, port: int) -> None:
    deadline = time.monotonic() + _START_S
    while broker.process.poll() is None:
        try:
            socket.create_connection((host, port), timeout=1.0).close()
        except OSError:
            if time.monotonic() > deadline:
                broker.stop()
                raise TransportError(f"{broker.kind} does not answer at {broker.url}") from None
            time.sleep(0.02)
        else:
            return
    raise TransportError(f"{broker.kind} did not start: {broker.last_words()}")
