"""Starting and stopping brokers, and `fedge broker`."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fedge.errors import ConfigError, MissingDependencyError, TransportError
from fedge.transport import Connected, Message, broker, programs
from fedge.transport.broker import is_loopback, start_broker
from fedge.transport.client import Version
from fedge.transport.programs import BrokerKind
from tests.support.tools import need_tool
from tests.support.transports import eventually, next_event, transport

pytestmark = pytest.mark.broker


@pytest.fixture(params=["iotcore", "mosquitto"])
def kind(request: pytest.FixtureRequest) -> BrokerKind:
    if request.param == "mosquitto":
        need_tool("mosquitto")
    found: BrokerKind = request.param
    return found


def is_gone(process_id: int) -> bool:
    return not Path(f"/proc/{process_id}").exists()


def test_a_started_broker_answers_and_a_stopped_one_is_gone(
    kind: BrokerKind, tmp_path: Path
) -> None:
    with start_broker(kind=kind, folder=tmp_path / "deep" / "folder") as started:
        assert started.kind == kind
        assert started.version[0].isdigit()
        with transport(started.url, "one") as one:
            next_event(one, Connected)
    assert started.process.returncode is not None
    assert is_gone(started.process.pid)


def test_a_frozen_broker_is_stopped_all_the_same(
    kind: BrokerKind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker, "_STOP_S", 0.3)
    with start_broker(kind=kind, folder=tmp_path) as started:
        os.kill(started.process.pid, signal.SIGSTOP)
    assert is_gone(started.process.pid)


def test_a_taken_port_is_told_before_anything_starts(kind: BrokerKind, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(TransportError, match=f"port {port} of 127.0.0.1 cannot be used"):
            start_broker(port=port, kind=kind, folder=tmp_path)


def test_a_broker_that_cannot_start_says_why_in_its_own_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need_tool("mosquitto")
    monkeypatch.setattr(programs, "_MOSQUITTO_CONF", "no_such_setting {host} {port}\n")
    with pytest.raises(TransportError, match=r"mosquitto did not start: .*mosquitto\.conf:1"):
        start_broker(kind="mosquitto", folder=tmp_path)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org", ""])  # noqa: S104 - refused
def test_a_broker_without_passwords_is_never_on_the_network(host: str, tmp_path: Path) -> None:
    assert not is_loopback(host)
    with pytest.raises(ConfigError, match="loopback only"):
        start_broker(host, folder=tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_only_the_asked_address_is_listened_on(kind: BrokerKind, tmp_path: Path) -> None:
    with start_broker("127.0.0.2", kind=kind, folder=tmp_path) as started:
        port = int(started.url.rpartition(":")[2])
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_without_any_broker_the_sentence_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "find_mosquitto", lambda: None)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(MissingDependencyError, match=r"fedge\[demo\]"):
        start_broker(folder=tmp_path)
    with pytest.raises(MissingDependencyError, match="apt install mosquitto"):
        start_broker(kind="mosquitto", folder=tmp_path)


def test_without_mosquitto_iotcore_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "find_mosquitto", lambda: None)
    with start_broker(folder=tmp_path) as started:
        assert started.kind == "iotcore"


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_iotcore_speaks_the_version_asked_for_at_every_loopback_address(
    host: str, version: Version, tmp_path: Path
) -> None:
    with (
        start_broker(host, kind="iotcore", folder=tmp_path, version=version) as started,
        transport(started.url, "one") as one,
    ):
        assert next_event(one, Connected).protocol == f"MQTT {version}"


def test_iotcore_is_not_asked_to_keep_what_it_cannot(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="iotcore keeps nothing over a restart"):
        start_broker(kind="iotcore", folder=tmp_path, is_persistent=True)


def test_a_persistent_mosquitto_keeps_retained_messages(tmp_path: Path) -> None:
    need_tool("mosquitto")
    with (
        start_broker(kind="mosquitto", folder=tmp_path, is_persistent=True) as started,
        transport(started.url, "one") as one,
    ):
        one.publish("a", b"kept", retain=True)
        assert one.flush(5.0)
    with (
        start_broker(kind="mosquitto", folder=tmp_path, is_persistent=True) as started,
        transport(started.url, "one") as one,
    ):
        one.subscribe("a")
        assert next_event(one, Message).payload == b"kept"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_runs_until_it_is_told_to_stop(
    number: signal.Signals, kind: BrokerKind, tmp_path: Path
) -> None:
    result = tmp_path / "result.json"
    command = [sys.executable, "-m", "fedge", "broker", "--port", "0", "--kind", kind]
    with subprocess.Popen([*command, "--json", str(result)], stderr=subprocess.PIPE) as process:
        assert eventually(lambda: result.exists() and result.read_text().endswith("}\n"), 15.0)
        found = json.loads(result.read_text())
        with transport(found["url"], "one") as one:
            next_event(one, Connected)
        process.send_signal(number)
        _, said = process.communicate(timeout=10)
    assert process.returncode == 0
    assert f"INFO broker: {kind} {found['version']} at {found['url']}" in said.decode()
    port = int(found["url"].rpartition(":")[2])
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_the_command_ends_with_its_broker(tmp_path: Path, kind: BrokerKind) -> None:
    result = tmp_path / "result.json"
    command = [sys.executable, "-m", "fedge", "broker", "--port", "0", "--json", str(result)]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, env={**os.environ, "FEDGE_BROKER_KIND": kind}
    ) as process:
        assert eventually(result.exists, 15.0)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        for child in children:
            os.kill(int(child), signal.SIGKILL)
        _, said = process.communicate(timeout=10)
    assert process.returncode == TransportError.exit_code
    assert said.decode().splitlines()[-1].startswith(f"fedge: {kind} ended with code -9: ")


def test_the_command_refuses_an_open_host_with_one_sentence() -> None:
    command = [sys.executable, "-m", "fedge", "broker", "--host", "0.0.0.0"]  # noqa: S104 - refused
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == ConfigError.exit_code
    assert done.stderr.startswith("fedge: host '0.0.0.0': ")
    assert len(done.stderr.splitlines()) == 1
    assert time.monotonic() - began < 10
