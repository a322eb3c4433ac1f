"""A device opens no connection but to its broker and writes nothing but its state.

Seen by strace, which shows every system call, those of libraries included.
Allowed is what does not leave the process: pairs of sockets to itself, and
writing to /dev/null. Nothing else is: no look-up of names (the broker is given
by number), no Unix socket, no /dev/shm, no /tmp, nothing in the home directory.
PYTHONDONTWRITEBYTECODE keeps the interpreter from caching compiled sources.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from fedge.messages import RoundState
from fedge.transport.mqtt import MqttTransport
from tests.support import models
from tests.support.broker import Broker, mosquitto
from tests.support.processes import (
    FedgeProcess,
    environment,
    stopping,
    wait_until,
    write_examples,
)
from tests.support.strace import Trace
from tests.support.tools import need_tool
from tests.unit.device.scripted import FLEET, JOB, ScriptedAggregator

__all__ = ["mosquitto"]
pytestmark = pytest.mark.broker


def tracer(output: Path) -> list[str]:
    return [need_tool("strace"), "-f", "-y", "-o", str(output), "-e", "trace=network,file"]


def test_a_whole_round_touches_the_broker_and_the_state_directory_alone(
    tmp_path: Path, mosquitto: Broker
) -> None:
    home, state = tmp_path / "home", tmp_path / "state"
    home.mkdir()
    env = environment(home)
    assert "CI" not in env
    aggregator = ScriptedAggregator(MqttTransport(mosquitto.url, "scripted"), models.linear())
    aggregator.announce(1)
    flags = {
        "broker": mosquitto.url, "fleet": FLEET, "job": JOB, "id": "pi-3",
        "data": write_examples(tmp_path / "data.npz"), "state-dir": state,
    }  # fmt: skip
    device = FedgeProcess(
        "device",
        tmp_path / "logs",
        flags,
        words=["--exit-when-finished"],
        before=tracer(tmp_path / "trace"),
        env=env,
    )
    with stopping(device):
        wait_until(lambda: aggregator.updates, 30.0, work=aggregator.work)
        aggregator.announce(1, sequence=11, state=RoundState.FINISHED)
        wait_until(lambda: device.process.poll() is not None, 30.0, work=aggregator.work)
    aggregator.close()
    assert device.process.returncode == 0
    trace = Trace.read(tmp_path / "trace")
    assert trace.peers == {f"127.0.0.1:{mosquitto.port}"}
    assert trace.others == []
    outside = {path for path in trace.written if state not in (path, *path.parents)}
    assert outside <= {Path("/dev/null")}
    assert state / "outbox.sqlite3" in trace.written  # it does see what is written
    assert list(home.iterdir()) == []


_STRANGER = """
import pathlib, socket, sys
pathlib.Path(sys.argv[1], "note").write_text("x")
for family, peer in ((socket.AF_INET, ("127.0.0.1", 9)), (socket.AF_UNIX, sys.argv[1] + "/s")):
    one = socket.socket(family)
    one.connect_ex(peer)
    one.close()
"""


def test_a_process_that_calls_and_writes_elsewhere_would_be_seen(tmp_path: Path) -> None:
    other = tmp_path / "elsewhere"
    other.mkdir()
    traced = [*tracer(tmp_path / "trace"), sys.executable, "-c", _STRANGER, str(other)]
    subprocess.run(traced, check=True, env=environment(tmp_path))
    trace = Trace.read(tmp_path / "trace")
    assert trace.peers == {"127.0.0.1:9"}
    assert len(trace.others) == 1
    assert "AF_UNIX" in trace.others[0]
    assert trace.written == {other / "note"}
