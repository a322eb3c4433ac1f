"""The transport at a broker as a network needs it: TLS and passwords."""

import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from fedge.transport import Connected, Disconnected
from fedge.transport.programs import BrokerKind
from tests.support.certificates import certify_for_now
from tests.support.guarded import guarded as start_guarded
from tests.support.transports import next_event, receive_payloads, transport

pytestmark = pytest.mark.broker

# What is said of a wrong password; rumqttd hangs up where MQTT asks for an answer.
_REFUSALS = {"mosquitto": "refuses us (not authorized)", "iotcore": "closed the connection"}


@dataclass(frozen=True)
class Guarded:
    """A broker that lets in `pi-3` with the password `se:cret`."""

    kind: BrokerKind
    port: int
    ca_file: Path

    def url(self, login: str) -> str:
        return f"mqtts://{login}127.0.0.1:{self.port}"


@pytest.fixture(params=["iotcore", "mosquitto"])
def guarded(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Guarded]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    certificate = certify_for_now(tmp_path)
    with start_guarded(request.param, port, certificate, ("pi-3", "se:cret")):
        yield Guarded(request.param, port, certificate)


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
            pass  # it is still starting
    shown = f"mqtts://127.0.0.1:{guarded.port}"
    assert reason.startswith(f"{shown} {_REFUSALS[guarded.kind]}")
    assert "; next try in " in reason


# paho leaves the socket of a failed handshake to its destructor, which closes it and warns.
@pytest.mark.filterwarnings("ignore:Exception ignored in. <ssl.SSLSocket")
def test_a_certificate_that_nobody_vouches_for_is_refused(guarded: Guarded) -> None:
    with transport(guarded.url("pi-3:se%3Acret@"), "one") as one:
        while "refused)" in (reason := next_event(one, Disconnected).reason):
            pass  # it is still starting
    shown = f"mqtts://127.0.0.1:{guarded.port}"
    assert reason.startswith(
        f"cannot set up TLS with {shown} (self-signed certificate); next try in "
    )
