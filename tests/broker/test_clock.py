"""A device whose clock is wrong by years, which under TLS is a certificate out of its time."""

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.certificates import certify
from tests.support.processes import (
    FedgeProcess,
    environment,
    stopping,
    wait_until,
    write_examples,
)
from tests.support.tools import need_tool

pytestmark = pytest.mark.broker

_CONF = """
listener {port} 127.0.0.1
certfile {certificate}
keyfile {folder}/key.pem
allow_anonymous true
user root
"""
# A clock that shows a time before the first or after the last of these is years off.
PAST, FUTURE = ("20000101000000Z", "20010101000000Z"), ("20600101000000Z", "20610101000000Z")
NOW = ("20000101000000Z", "20610101000000Z")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def mosquitto_with(certificate: Path, port: int) -> Iterator[None]:
    conf = certificate.with_suffix(".conf")
    conf.write_text(_CONF.format(port=port, certificate=certificate, folder=certificate.parent))
    command = [need_tool("mosquitto"), "-c", str(conf)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.terminate()


def start(folder: Path, port: int, trusted: list[Path], **flags: object) -> FedgeProcess:
    ca_file = folder / "trusted.pem"
    ca_file.write_text("".join(one.read_text() for one in trusted))
    named = {
        "broker": f"mqtts://127.0.0.1:{port}", "id": "ann", "state-dir": folder / "state",
        "data": write_examples(folder / "data.npz"), "ca-file": ca_file, **flags,
    }  # fmt: skip
    return FedgeProcess("device", folder, named, env=environment(folder))


@pytest.mark.parametrize(
    ("times", "what", "shown"),
    [
        (FUTURE, "certificate is not yet valid", "from 2060-01-01 00:00 to 2061-01-01 00:00"),
        (PAST, "certificate has expired", "from 2000-01-01 00:00 to 2001-01-01 00:00"),
    ],
)
def test_the_clock_is_named_and_when_it_fits_the_certificate_the_device_goes_on(
    tmp_path: Path, times: tuple[str, str], what: str, shown: str
) -> None:
    port = free_port()
    wrong, right = certify(tmp_path, "wrong", *times), certify(tmp_path, "right", *NOW)
    sentence = f"no TLS with mqtts://127.0.0.1:{port} ({what}; this machine's clock shows 2"
    device = start(tmp_path, port, [wrong, right])
    with stopping(device):
        with mosquitto_with(wrong, port):
            wait_until(lambda: device.said().count(sentence) > 2, 40)
        line = next(one for one in device.said().splitlines() if sentence in one)
        assert f"UTC, the certificate holds {shown}: set the clock, by NTP" in line
        with mosquitto_with(right, port):
            wait_until(lambda: f"connected to mqtts://127.0.0.1:{port}" in device.said(), 50)
    assert "Traceback" not in device.said()


def test_a_device_that_gives_up_says_what_its_clock_shows_last(tmp_path: Path) -> None:
    port = free_port()
    wrong = certify(tmp_path, "wrong", *FUTURE)
    with mosquitto_with(wrong, port):
        device = start(tmp_path, port, [wrong], **{"connect-timeout": 3})
        with stopping(device):
            assert device.wait(40) == 7
    said = device.said().splitlines()
    assert said[-1].startswith(f"fedge: the broker mqtts://127.0.0.1:{port} was never reached in")
    assert "certificate is not yet valid; this machine's clock shows" in said[-1]
