"""A device whose clock is wrong by years, which under TLS is a certificate out of its time."""

import socket
from pathlib import Path

import pytest

from fedge.transport.programs import BrokerKind
from tests.support.certificates import certify
from tests.support.guarded import guarded
from tests.support.processes import (
    FedgeProcess,
    environment,
    stopping,
    wait_until,
    write_examples,
)

pytestmark = pytest.mark.broker

# A clock that shows a time before the first or after the last of these is years off.
PAST, FUTURE = ("20000101000000Z", "20010101000000Z"), ("20600101000000Z", "20610101000000Z")
NOW = ("20000101000000Z", "20610101000000Z")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(folder: Path, port: int, trusted: list[Path], **flags: object) -> FedgeProcess:
    ca_file = folder / "trusted.pem"
    ca_file.write_text("".join(one.read_text() for one in trusted))
    named = {
        "broker": f"mqtts://127.0.0.1:{port}", "id": "ann", "state-dir": folder / "state",
        "data": write_examples(folder / "data.npz"), "ca-file": ca_file, **flags,
    }  # fmt: skip
    return FedgeProcess("device", folder, named, env=environment(folder))


@pytest.mark.parametrize("kind", ["iotcore", "mosquitto"])
@pytest.mark.parametrize(
    ("times", "what", "shown"),
    [
        (FUTURE, "certificate is not yet valid", "from 2060-01-01 00:00 to 2061-01-01 00:00"),
        (PAST, "certificate has expired", "from 2000-01-01 00:00 to 2001-01-01 00:00"),
    ],
)
def test_the_clock_is_named_and_when_it_fits_the_certificate_the_device_goes_on(
    tmp_path: Path, kind: BrokerKind, times: tuple[str, str], what: str, shown: str
) -> None:
    port = free_port()
    wrong, right = certify(tmp_path, "wrong", *times), certify(tmp_path, "right", *NOW)
    sentence = (
        f"cannot set up TLS with mqtts://127.0.0.1:{port} ({what}; this machine's clock shows 2"
    )
    device = start(tmp_path, port, [wrong, right])
    with stopping(device):
        with guarded(kind, port, wrong):
            wait_until(lambda: sentence in device.said(), 40)
        line = next(one for one in device.said().splitlines() if sentence in one)
        assert f"UTC, the certificate is valid {shown}: set the clock, by NTP" in line
        with guarded(kind, port, right):
            wait_until(lambda: f"connected to mqtts://127.0.0.1:{port}" in device.said(), 50)
    assert "Traceback" not in device.said()


@pytest.mark.parametrize("kind", ["iotcore", "mosquitto"])
def test_a_device_that_gives_up_says_what_its_clock_shows_last(
    tmp_path: Path, kind: BrokerKind
) -> None:
    port = free_port()
    wrong = certify(tmp_path, "wrong", *FUTURE)
    with guarded(kind, port, wrong):
        device = start(tmp_path, port, [wrong], **{"connect-timeout-s": 3})
        with stopping(device):
            assert device.wait(40) == 7
    said = device.said().splitlines()
    assert said[-1].startswith(f"fedge: the broker mqtts://127.0.0.1:{port} was never reached in")
    assert "certificate is not yet valid; this machine's clock shows" in said[-1]
