"""A device opens no connection but to its broker and writes nothing but its state.

Seen by strace, which shows every system call, those of libraries included.
Allowed is what does not leave the process: pairs of sockets to itself, and
writing to /dev/null. Nothing else is: no look-up of names (the broker is given
by number), no Unix socket, no /dev/shm, no /tmp, nothing in the home directory.
PYTHONDONTWRITEBYTECODE keeps the interpreter from caching compiled sources.

The device's environment is a stranger's: without CI, under which onnxruntime
reports nothing by itself, so that a test would prove nothing.
"""

import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import pytest

from fedge.messages import RoundState
from fedge.transport.mqtt import MqttTransport
from tests.support import models
from tests.support.broker import Broker, any_broker
from tests.support.processes import (
    FedgeProcess,
    environment,
    stopping,
    wait_until,
    write_examples,
)
from tests.support.scripted_aggregator import FLEET, JOB, ScriptedAggregator
from tests.support.strace import Trace
from tests.support.tools import missing, need_tool

__all__ = ["any_broker"]
pytestmark = pytest.mark.broker

# What onnxruntime does about CI by itself, so do not let a variable of the machine decide.
_SILENCERS = {"CI", "TF_BUILD", "GITHUB_ACTIONS", "ORT_DISABLE_TELEMETRY"}


def tracer(output: Path) -> list[str]:
    return [need_tool("strace"), "-f", "-y", "-o", str(output), "-e", "trace=network,file"]


def flags(folder: Path, broker: Broker) -> dict[str, object]:
    data = write_examples(folder / "data.npz")
    state = folder / "state"
    return {
        "broker": broker.url, "fleet": FLEET, "job": JOB, "id": "pi-3",
        "data": data, "state-dir": state, "connect-timeout-s": 10,
    }  # fmt: skip


def trace_a_round(folder: Path, broker: Broker, env: Mapping[str, str]) -> Trace:
    """A device in `folder` from its start to the end of its job, which has one round."""
    aggregator = ScriptedAggregator(MqttTransport(broker.url, "scripted"), models.linear())
    aggregator.announce(1)
    device = FedgeProcess(
        "device",
        folder / "logs",
        flags(folder, broker),
        words=["--exit-when-finished"],
        before=tracer(folder / "trace"),
        env=env,
    )
    with stopping(device):
        wait_until(lambda: aggregator.updates, 30.0, work=aggregator.work)
        aggregator.announce(1, sequence=11, state=RoundState.FINISHED)
        wait_until(lambda: device.process.poll() is not None, 30.0, work=aggregator.work)
    aggregator.close()
    assert device.process.returncode == 0
    return Trace.read(folder / "trace")


def outside(trace: Trace, state: Path) -> set[Path]:
    return {path for path in trace.written if state not in (path, *path.parents)}


def test_a_whole_round_touches_the_broker_and_the_state_directory_alone(
    tmp_path: Path, any_broker: Broker
) -> None:
    home, state = tmp_path / "home", tmp_path / "state"
    home.mkdir()
    env = environment(home)
    assert not _SILENCERS & set(env)
    trace = trace_a_round(tmp_path, any_broker, env)
    assert trace.peers == {f"127.0.0.1:{any_broker.port}"}
    assert trace.others == []
    assert outside(trace, state) <= {Path("/dev/null")}
    assert state / "outbox.sqlite3" in trace.written  # it does see what is written
    assert list(home.iterdir()) == []


# Takes the variable away again, in the moment of the import; Python's own copy keeps it.
_REPORTING = """
import os, sys
class Forget:
    def find_spec(self, name, path=None, target=None):
        if name == "onnxruntime":
            os.unsetenv("ORT_DISABLE_TELEMETRY")
sys.meta_path.insert(0, Forget())
"""


def customised(folder: Path, code: str, env: dict[str, str]) -> dict[str, str]:
    """An environment in which every interpreter runs this before anything else."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(code)
    paths = [str(folder), *filter(None, [env.get("PYTHONPATH")])]
    return {**env, "PYTHONPATH": ":".join(paths)}


def test_the_same_device_with_telemetry_left_on_would_be_seen(
    tmp_path: Path, any_broker: Broker
) -> None:
    if tuple(map(int, version("onnxruntime").split(".")[:2])) < (1, 29):
        missing(f"onnxruntime {version('onnxruntime')} has no telemetry: 1.29 is not installed")
    home = tmp_path / "home"
    home.mkdir()
    env = environment(home) | {"https_proxy": "http://127.0.0.1:9"}  # nobody: let it stay here
    trace = trace_a_round(tmp_path, any_broker, customised(tmp_path / "site", _REPORTING, env))
    reports = {path for path in outside(trace, tmp_path / "state") if "Microsoft" in path.parts}
    assert home / ".cache" / "Microsoft" in reports
    assert list(home.rglob("onnxruntime.db"))


# A stand-in for an onnxruntime that the host application has loaded: the real one would report.
_LOADED = """
import sys, types
sys.modules["onnxruntime"] = types.ModuleType("onnxruntime")
"""


def test_a_device_does_not_start_where_onnxruntime_was_loaded_with_telemetry_on(
    tmp_path: Path, any_broker: Broker
) -> None:
    env = customised(tmp_path / "site", _LOADED, environment(tmp_path))
    device = FedgeProcess(
        "device",
        tmp_path / "logs",
        flags(tmp_path, any_broker),
        before=tracer(tmp_path / "trace"),
        env=env,
    )
    with stopping(device):
        assert device.wait() == 2
    assert "onnxruntime was imported with telemetry on" in device.said()
    assert Trace.read(tmp_path / "trace").peers == set()


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
