"""A broker's password stands nowhere but where it was put."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import models
from tests.support.configured import Configured, configured
from tests.support.processes import (
    FedgeProcess,
    environment,
    stopping,
    wait_until,
    write_examples,
)

pytestmark = pytest.mark.broker

SECRET = "tell#no/body?"
ENCODED = "tell%23no%2Fbody%3F"
USERS = {"pi-3": SECRET, "boss": SECRET}


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Configured]:
    with configured(tmp_path / "broker", users=USERS) as running:
        yield running


def start(command: str, folder: Path, flags: dict[str, object], **env: str) -> FedgeProcess:
    return FedgeProcess(command, folder, flags, env=environment(folder) | env)


def device_flags(folder: Path) -> dict[str, object]:
    data = write_examples(folder / "data.npz")
    return {"id": "pi-3", "data": data, "state-dir": folder / "device", "log-level": "debug"}


def aggregator_flags(folder: Path) -> dict[str, object]:
    models.linear().save(folder / "model.fedge")
    return {
        "artifact": folder / "model.fedge",
        "state-dir": folder / "aggregator",
        "json": folder / "result.json",
        "events": folder / "events.jsonl",
        "rounds": 1,
        "codec": "none",
        "downlink-codec": "none",
        "log-level": "debug",
    }


def holds_secret(text: str) -> bool:
    return SECRET in text or ENCODED in text


def test_a_job_runs_with_the_password_in_variables_and_in_a_file_and_nobody_repeats_it(
    tmp_path: Path, broker: Configured
) -> None:
    (tmp_path / "password").write_text(f"{SECRET}\n")
    url = broker.url(f"boss:{ENCODED}")
    aggregator = start(
        "aggregate", tmp_path, aggregator_flags(tmp_path), FEDGE_AGGREGATOR_BROKER=url
    )
    file = {"broker": broker.url("pi-3"), "password-file": tmp_path / "password"}
    device = start("device", tmp_path, device_flags(tmp_path) | file)
    with stopping(aggregator, device):
        assert aggregator.wait(30) == 0, aggregator.said()
        device.process.terminate()
        assert device.wait() == 0
    result = (tmp_path / "result.json").read_text() + (tmp_path / "events.jsonl").read_text()
    assert not holds_secret(device.said() + aggregator.said() + result)
    assert f"connected to {broker.url()}, MQTT 5" in device.said()
    assert "list of processes" not in device.said() + aggregator.said()


@pytest.mark.parametrize("command", ["device", "aggregate"])
def test_a_password_on_the_command_line_is_warned_of_and_never_said_in_an_error(
    tmp_path: Path, broker: Configured, command: str
) -> None:
    flags = device_flags(tmp_path) if command == "device" else aggregator_flags(tmp_path)
    wrong = {"broker": broker.url(f"pi-3:{ENCODED}x"), "connect-timeout": 1}
    process = start(command, tmp_path, flags | wrong)
    with stopping(process):
        assert process.wait() == 7
    assert process.said().count("the password in --broker shows up in the list of processes") == 1
    assert "not authorized" in process.said().splitlines()[-1]
    assert not holds_secret(process.said())


def test_a_broker_that_goes_is_told_without_the_password(
    tmp_path: Path,
) -> None:
    with configured(tmp_path / "broker", users=USERS) as broker:
        url = broker.url(f"pi-3:{ENCODED}")
        device = start("device", tmp_path, device_flags(tmp_path), FEDGE_DEVICE_BROKER=url)
        wait_until(lambda: "connected to" in device.said())
    with stopping(device):
        wait_until(lambda: f"waiting for the broker {broker.url()}" in device.said())
    assert not holds_secret(device.said())


def words_of_children(process_id: int) -> list[str]:
    """The command lines of all that a process has started, and of what that has started."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == process_id:
                found += [(entry / "cmdline").read_text().replace("\0", " ")]
                found += words_of_children(int(entry.name))
        except (OSError, ValueError):
            continue
    return found


@pytest.mark.slow
@pytest.mark.parametrize("way", ["flag", "file"])
def test_a_demo_hides_the_password_from_its_childrens_command_lines_and_from_its_results(
    tmp_path: Path, broker: Configured, way: str
) -> None:
    (tmp_path / "password").write_text(SECRET)
    named = {
        "flag": ["--broker", broker.url(f"boss:{ENCODED}")],
        "file": ["--broker", broker.url("boss"), "--password-file", str(tmp_path / "password")],
    }
    out = tmp_path / "out"
    words = ["--devices", "2", "--rounds", "2", "--out", str(out), *named[way]]
    demo = FedgeProcess("demo", tmp_path, {}, words=words, env=environment(tmp_path))
    seen: set[str] = set()
    with stopping(demo):
        while demo.process.poll() is None:
            seen |= set(words_of_children(demo.process.pid))
    assert demo.process.returncode == 0, demo.said()
    assert {" device " in line for line in seen} == {True, False}
    assert not any(holds_secret(line) for line in seen)
    assert demo.said().count("shows up in the list of processes") == (way == "flag")
    assert f"yours at {broker.url()}" in demo.said()
    result = json.loads((out / "result.json").read_text())
    assert result["arguments"]["broker"] == broker.url()
    texts = [path for path in out.rglob("*") if path.suffix in {".json", ".jsonl", ".log"}]
    assert {"result.json", "events.jsonl", "aggregator.log", "device-1.log"} <= {
        path.name for path in texts
    }
    for path in texts:
        assert not holds_secret(path.read_text()), path
    assert not holds_secret(demo.said())


def test_a_password_file_for_a_broker_of_the_demos_own_is_refused(tmp_path: Path) -> None:
    words = ["demo", "--password-file", "x", "--devices", "1", "--out", str(tmp_path / "out")]
    done = subprocess.run(
        [sys.executable, "-m", "fedge", *words],
        capture_output=True, text=True, check=False, env={**os.environ},
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == (
        "fedge: --password-file is for a broker of your own: give --broker URL too\n"
    )
