"""Brokers that speak MQTT over WebSockets, for firewalls that let only port 443 through."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from socket import create_connection, socket
from subprocess import DEVNULL

from fedge.transport.programs import BrokerKind
from tests.support.certificates import certify_for_now
from tests.support.configured import configured

_IOTCORE = """
id = 0
[router]
id = 0
max_connections = 100
max_outgoing_packet_count = 200
max_segment_size = 8388608
max_segment_count = 8
[v4.1]
name = "not used, but there must be one"
listen = "127.0.0.1:0"
next_connection_delay_ms = 1
[v4.1.connections]
connection_timeout_ms = 60000
max_payload_size = 262144
max_inflight_count = 100
dynamic_filters = true
[ws.1]
name = "fedge"
listen = "127.0.0.1:{port}"
next_connection_delay_ms = 1
[ws.1.connections]
connection_timeout_ms = 60000
max_payload_size = 262144
max_inflight_count = 100
dynamic_filters = true
"""
_TLS = """
[ws.1.tls]
certpath = "{certificate}"
keypath = "{folder}/key.pem"
"""


@dataclass(frozen=True)
class WebSocketBroker:
    """Its URL, the certificate it presents, and the MQTT version it speaks there."""

    url: str
    ca_file: Path | None
    protocol: str
    is_slow: bool  # 2.0.11's library sends 4 kB, then waits for its next poll: 0.1 MB/s


def mosquitto_lines(certificate: Path | None = None) -> str:
    """For a WebSocket listener; 2.0.11 does not start without one for plain MQTT too."""
    tls = f"certfile {certificate}\nkeyfile {certificate.parent}/key.pem\n" if certificate else ""
    return f"protocol websockets\n{tls}listener {_free_port()} 127.0.0.1"


def _free_port() -> int:
    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def websocket_broker(kind: BrokerKind, folder: Path, *, is_tls: bool) -> Iterator[WebSocketBroker]:
    """One for the duration of a test; over WebSockets rumqttd speaks only MQTT 3.1.1."""
    folder.mkdir(parents=True, exist_ok=True)
    certificate = certify_for_now(folder) if is_tls else None
    scheme = "wss" if is_tls else "ws"
    if kind == "mosquitto":
        with configured(folder / "mosquitto", lines=mosquitto_lines(certificate)) as broker:
            yield WebSocketBroker(broker.url(scheme=scheme), certificate, "MQTT 5", is_slow=True)
        return
    port = _free_port()
    conf = _IOTCORE.format(port=port)
    if certificate:
        conf += _TLS.format(certificate=certificate, folder=folder)
    (folder / "iotcore.toml").write_text(conf)
    configuration = str(folder / "iotcore.toml")
    program = [sys.executable, "-m", "fedge.transport.iotcore_process", configuration]
    with subprocess.Popen(program, stderr=DEVNULL, stdout=DEVNULL) as process:
        try:
            end_s = time.monotonic() + 15
            while time.monotonic() < end_s:
                with suppress(OSError):
                    create_connection(("127.0.0.1", port), 1.0).close()
                    break
                time.sleep(0.05)
            url = f"{scheme}://127.0.0.1:{port}"
            yield WebSocketBroker(url, certificate, "MQTT 3.1.1", is_slow=False)
        finally:
            process.terminate()
