"""The brokers that fedge can start: how each one is found, configured and started."""

import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from fedge.errors import MissingDependencyError
from fedge.storage import write_file
from fedge.transport.client import Version

BrokerKind: TypeAlias = Literal["iotcore", "mosquitto"]
AnyKind: TypeAlias = Literal["auto", "iotcore", "mosquitto"]

_MOSQUITTO_FOLDERS = "/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin"

# The queues hold what a slow subscriber has not received: a broker that drops a message
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

# rumqttd keeps the latest messages of each topic filter in segments, for its subscribers to read
# at their own pace, and never frees that memory: at most 64 MiB per filter. Without dynamic filters
# it hangs up on clients that publish where nobody has subscribed yet.
_IOTCORE_CONF = """\
id = 0

[router]
id = 0
max_connections = 10010
max_outgoing_packet_count = 200
max_segment_size = 8388608
max_segment_count = 8

[{section}.1]
name = "fedge"
listen = "{host}:{port}"
next_connection_delay_ms = 1

[{section}.1.connections]
connection_timeout_ms = 60000
max_payload_size = 262144
max_inflight_count = 100
dynamic_filters = true
"""


@dataclass(frozen=True, slots=True)
class Listener:
    """Where a broker should listen, with which protocol, and its folder.

    Attributes:
        version: of MQTT, of which a port of iotcore speaks only one; mosquitto's speak both.
        is_persistent: keep retained messages across restarts in `folder` (mosquitto).
    """

    host: str
    port: int
    folder: Path
    version: Version = "5"
    is_persistent: bool = False


def find_mosquitto() -> str | None:
    """The program's path, even if it is only on root's PATH."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path=_MOSQUITTO_FOLDERS)


def choose(kind: AnyKind) -> BrokerKind:
    """The broker to start; for auto, mosquitto if it is installed, else iotcore.

    Raises:
        MissingDependencyError: if it is not installed.
    """
    if kind != "iotcore" and find_mosquitto():
        return "mosquitto"
    if kind == "mosquitto":
        raise MissingDependencyError("mosquitto is not installed: apt install mosquitto")
    if importlib.util.find_spec("iotcore") is None:
        raise MissingDependencyError(
            "there is no broker: apt install mosquitto, or pip install 'fedge[demo]' for iotcore"
        )
    return "iotcore"


def command(kind: BrokerKind, at: Listener) -> Sequence[str]:
    """Write the configuration into the folder; returns the command that starts the broker."""
    if kind == "iotcore":
        file = at.folder / "iotcore.toml"
        write_file(file, _iotcore_conf(at).encode(), is_private=True)
        return [sys.executable, "-m", "fedge.transport.iotcore_process", str(file)]
    file = at.folder / "mosquitto.conf"
    write_file(file, _mosquitto_conf(at).encode(), is_private=True)
    return [find_mosquitto() or "mosquitto", "-c", str(file)]


def version(kind: BrokerKind) -> str:
    """The installed version."""
    if kind == "iotcore":
        return importlib.metadata.version("iotcore")
    words = [find_mosquitto() or "mosquitto", "-h"]
    text = subprocess.run(words, capture_output=True, text=True, check=False).stdout  # noqa: S603
    return text.splitlines()[0].split()[-1] if text.strip() else "of unknown version"


def _iotcore_conf(at: Listener) -> str:
    host = "127.0.0.1" if at.host == "localhost" else at.host  # it accepts only addresses
    return _IOTCORE_CONF.format(
        section="v5" if at.version == "5" else "v4",
        host=f"[{host}]" if ":" in host else host,
        port=at.port,
    )


def _mosquitto_conf(at: Listener) -> str:
    conf = _MOSQUITTO_CONF.format(host=at.host, port=at.port)
    if os.geteuid() == 0:
        conf += "user root\n"  # otherwise it switches to a user who may not read the folder
    if at.is_persistent:
        conf += f"persistence true\npersistence_location {at.folder.resolve()}/\n"
        conf += "autosave_interval 30\n"
    return conf
