"""A device process with a wrong fleet, against real brokers: the log names what is there."""

import getpass
import socket
import subprocess
from pathlib import Path

import pytest

from tests.support import models
from tests.support.aggregator_process import AggregatorProcess
from tests.support.broker import Broker, any_broker
from tests.support.processes import (
    FedgeProcess,
    environment,
    stopping,
    wait_until,
    write_examples,
)
from tests.support.tools import need_tool

__all__ = ["any_broker"]
pytestmark = [pytest.mark.broker, pytest.mark.slow]


def start(folder: Path, url: str, **flags: object) -> FedgeProcess:
    data = write_examples(folder / "data.npz")
    given = {"broker": url, "id": "pi-3", "data": data, "state-dir": folder / "device", **flags}
    return FedgeProcess("device", folder, given, env=environment(folder))


def lines(device: FedgeProcess) -> list[str]:
    return [line for line in device.said().splitlines() if "no round of job" in line]


def test_a_wrong_fleet_is_told_which_fleets_and_jobs_there_are(
    tmp_path: Path, any_broker: Broker
) -> None:
    aggregator = AggregatorProcess(
        tmp_path, any_broker.url, models.linear(), fleet="factory", job="motors"
    )
    aggregator.start()
    device = start(tmp_path, any_broker.url, fleet="factoy", job="motors")
    try:
        with stopping(device):
            wait_until(lambda: lines(device), timeout_s=40)
            assert lines(device)[0].endswith(
                "no round of job motors in fleet factoy for 18 s; heard fleet factory: "
                "job motors: are --fleet and --job right?"
            )
            assert device.process.poll() is None
    finally:
        aggregator.close()


def test_behind_access_rights_it_says_that_they_may_hide_something(tmp_path: Path) -> None:
    mosquitto = need_tool("mosquitto")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "acl").write_text("topic readwrite fedge/v1/home/#\ntopic write fedge/v1/#\n")
    (tmp_path / "acl").chmod(0o600)
    (tmp_path / "conf").write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\nacl_file {tmp_path / 'acl'}\n"
        f"user {getpass.getuser()}\n"
    )
    aggregator = AggregatorProcess(
        tmp_path, f"mqtt://127.0.0.1:{port}", models.linear(), fleet="factory", job="motors"
    )
    with (tmp_path / "broker.log").open("wb") as log:
        broker = subprocess.Popen([mosquitto, "-c", str(tmp_path / "conf")], stderr=log)
    aggregator.start()
    device = start(tmp_path, f"mqtt://127.0.0.1:{port}", fleet="home", job="motors")
    try:
        with stopping(device):
            wait_until(lambda: lines(device), timeout_s=40)
        assert "heard no aggregator of any fleet" in lines(device)[0]
        assert "if the broker has access control, it may hide it" in lines(device)[0]
    finally:
        aggregator.close()
        broker.kill()
        broker.wait()
