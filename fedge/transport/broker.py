"""Start a broker on this machine, for a bench or a demo: mosquitto, else amqtt."""

import importlib.metadata
import importlib.util
import ipaddress
import os
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, TypeAlias

from fedge.errors import ConfigError, MissingDependencyError, TransportError

BrokerKind: TypeAlias = Literal["mosquitto", "amqtt"]

_START_S = 15.0  # on a busy board amqtt takes seconds to import
_STOP_S = 5.0
_MOSQUITTO_FOLDERS = "/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin"
_LOG = "broker.log"

# The queues hold what a slow subscriber has not taken: a broker that drops a message
# because a queue is full still acknowledges it. 0 does not mean "no limit" everywhere.
_MOSQUITTO_CONF = """\
listener {port} {host}
allow_anonymous true
set_tcp_nodelay true
max_packet_size 131072
max_inflight_messages 100
max_queued_messages 100000
max_queued_bytes 536870912
log_dest stderr
log_timestamp_format %Y-%m-%d %H:%M:%S
log_type error
log_type warning
log_type notice
"""


@dataclass(frozen=True, slots=True)
class RunningBroker:
    """A broker process; leaving it as a context stops it."""

    kind: BrokerKind
    version: str
    url: str
    process: subprocess.Popen[bytes]
    log_file: Path

    def stop(self) -> None:
        """Ask it to end; after 5 s, make it."""
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
    host: str = "127.0.0.1",
    port: int = 0,
    kind: Literal["auto", "mosquitto", "amqtt"] = "auto",
    *,
    folder: Path,
    is_persistent: bool = False,
) -> RunningBroker:
    """Start a broker and wait until it answers.

    It asks nobody for a password, so it listens on loopback only. It has a session
    of its own: a Ctrl-C in the terminal ends it only when its starter stops it.

    Args:
        host: a loopback address.
        port: where to listen; 0 takes a free port.
        kind: which program; auto takes mosquitto if there is one.
        folder: for its configuration and log; made if missing.
        is_persistent: keep retained messages over restarts in `folder` (mosquitto).

    Raises:
        ConfigError: if the host is not a loopback address.
        MissingDependencyError: if there is no such program.
        TransportError: if the port is taken or the broker does not come up.
    """
    if not is_loopback(host):
        raise ConfigError(
            f"host {host!r}: this broker lets everybody in, so it listens on loopback only; "
            "for a network set up a mosquitto with TLS and passwords (docs/brokers.md)"
        )
    found = _choose(kind)
    folder.mkdir(parents=True, exist_ok=True)
    port = _claim(host, port)
    command = _command(found, host, port, folder, is_persistent=is_persistent)
    with (folder / _LOG).open("ab") as log:
        process = subprocess.Popen(  # noqa: S603 - the command is ours, nothing in it is a shell's
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    shown = f"[{host}]" if ":" in host else host
    broker = RunningBroker(found, _version(found), f"mqtt://{shown}:{port}", process, folder / _LOG)
    _await_answer(broker, host, port)
    return broker


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def find_mosquitto() -> str | None:
    """The program, also where only root has it in the PATH."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path=_MOSQUITTO_FOLDERS)


def _choose(kind: Literal["auto", "mosquitto", "amqtt"]) -> BrokerKind:
    if kind != "amqtt" and find_mosquitto():
        return "mosquitto"
    if kind == "mosquitto":
        raise MissingDependencyError("mosquitto is not installed: apt install mosquitto")
    if importlib.util.find_spec("amqtt") is None:
        raise MissingDependencyError(
            "there is no broker: apt install mosquitto, or pip install 'fedge[demo]' for amqtt"
        )
    return "amqtt"


def _command(
    kind: BrokerKind, host: str, port: int, folder: Path, *, is_persistent: bool
) -> list[str]:
    if kind == "amqtt":
        return [sys.executable, "-m", "fedge.transport.amqtt_process", host, str(port)]
    conf = _MOSQUITTO_CONF.format(host=host, port=port)
    if os.geteuid() == 0:
        conf += "user root\n"  # or it becomes a user who may not read the folder
    if is_persistent:
        conf += (
            f"persistence true\npersistence_location {folder.resolve()}/\nautosave_interval 30\n"
        )
    file = folder / "mosquitto.conf"
    file.write_text(conf)
    return [find_mosquitto() or "mosquitto", "-c", str(file)]


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


def _version(kind: BrokerKind) -> str:
    if kind == "amqtt":
        return importlib.metadata.version("amqtt")
    command = [find_mosquitto() or "mosquitto", "-h"]
    text = subprocess.run(command, capture_output=True, text=True, check=False).stdout  # noqa: S603
    return text.splitlines()[0].split()[-1] if text.strip() else "of unknown version"
