"""The transport at a mosquitto as a network needs it: TLS and passwords."""

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from fedge.transport import Connected, Disconnected
from tests.broker.transports import next_event, receive_payloads, transport
from tests.support.tools import need_tool

pytestmark = pytest.mark.broker

_CONF = """
listener {port} 127.0.0.1
certfile {folder}/cert.pem
keyfile {folder}/key.pem
allow_anonymous false
password_file {folder}/passwords
user root
"""


@dataclass(frozen=True)
class Guarded:
    """A mosquitto that lets in `pi-3` with the password `se:cret`."""

    port: int
    ca_file: Path

    def url(self, login: str) -> str:
        return f"mqtts://{login}127.0.0.1:{self.port}"


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Guarded]:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "cert.pem")]
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    command = [need_tool("openssl"), "req", "-x509", *curve, *subject, *files]
    subprocess.run(command, check=True, capture_output=True)
    passwords = [need_tool("mosquitto_passwd"), "-c", "-b", str(tmp_path / "passwords")]
    subprocess.run([*passwords, "pi-3", "se:cret"], check=True, capture_output=True)
    conf = tmp_path / "mosquitto.conf"
    conf.write_text(_CONF.format(port=port, folder=tmp_path))
    with subprocess.Popen(
        [need_tool("mosquitto"), "-c", str(conf)], stderr=subprocess.DEVNULL
    ) as process:
        yield Guarded(port, tmp_path / "cert.pem")
        process.terminate()


def test_large_messages_go_through_tls(guarded: Guarded) -> None:
    url = guarded.url("pi-3:se%3Acret@")
    with transport(url, "one", ca_file=guarded.ca_file, keepalive_s=5) as one:
        one.subscribe("a")
        assert next_event(one, Connected).protocol == "MQTT 5"
        payloads = [bytes([number]) * 61_440 for number in range(60)]
        began = time.monotonic()
        for payload in payloads:
            one.publish("a", payload)
        assert receive_payloads(one, 60) == payloads
        assert time.monotonic() - began < 4.0  # nothing waits for a tick to be decrypted


def test_a_wrong_password_is_told_and_not_repeated(guarded: Guarded) -> None:
    with transport(guarded.url("pi-3:wrong@"), "one", ca_file=guarded.ca_file) as one:
        while (reason := next_event(one, Disconnected).reason).startswith("nobody answers"):
            pass  # mosquitto is still starting
    shown = f"mqtts://127.0.0.1:{guarded.port}"
    assert reason.startswith(f"{shown} refuses us (not authorized); next try in ")


# paho leaves the socket of a failed handshake to its destructor, which closes it and warns.
@pytest.mark.filterwarnings("ignore:Exception ignored in. <ssl.SSLSocket")
def test_a_certificate_that_nobody_vouches_for_is_refused(guarded: Guarded) -> None:
    with transport(guarded.url("pi-3:se%3Acret@"), "one") as one:
        while "refused)" in (reason := next_event(one, Disconnected).reason):
            pass  # mosquitto is still starting
    shown = f"mqtts://127.0.0.1:{guarded.port}"
    assert reason.startswith(f"no TLS with {shown} (self-signed certificate); next try in ")
