"""A whole emulated system: what runs on it, what it reaches, what a power cut leaves."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from firmware_sim.boards import BOARDS, Board, board
from firmware_sim.emulator.hardware import BROKER_ADDRESS, HOST_ADDRESS
from firmware_sim.errors import EmulationError
from firmware_sim.scenario import player
from firmware_sim.scenario.plan import Scenario
from firmware_sim.tiers.base import Job
from firmware_sim.tiers.board import TIER as BOARDS_THEMSELVES
from firmware_sim.tiers.system import TIER, SystemMode
from tests.support.boards import ready
from tests.support.tools import missing, need_tool

pytestmark = pytest.mark.emulated
MINUTES = 60

_PROBE = """
import json, os, platform, socket, sys
port, broker, host = int(sys.argv[1]), *sys.argv[2:]

def ask(address):
    try:
        with socket.create_connection((address, port), 5) as line:
            line.sendall(b"hello")
            return line.recv(5).decode()
    except OSError as error:
        return type(error).__name__

open("/job/files/written", "w").write("there")
os.remove("given")
json.dump({
    "machine": platform.machine(),
    "kernel": platform.release(),
    "memory_kb": int(open("/proc/meminfo").readline().split()[1]),
    "broker": [ask(broker), ask(broker)],
    "host": ask(host),
    "can_write_system": os.access("/usr", os.W_OK),
}, open("found.json", "w"))
print("said")
sys.exit(3)
"""


@pytest.fixture(scope="module")
def zero2w() -> Board:
    return ready(TIER, "zero2w")


@pytest.fixture
def echo() -> Iterator[int]:
    """A service on this machine's loopback that says back what it hears; its port."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        threading.Thread(target=_echo, args=(server,), daemon=True).start()
        yield server.getsockname()[1]


def _echo(server: socket.socket) -> None:
    while True:
        try:
            line, _ = server.accept()
        except OSError:
            return
        with line:
            line.sendall(line.recv(100))


def test_a_job_runs_on_its_own_kernel_and_reaches_its_broker_and_nothing_else(
    zero2w: Board, echo: int, tmp_path: Path
) -> None:
    (tmp_path / "probe.py").write_text(_PROBE)
    (tmp_path / "given").write_text("to be removed there")
    tier = SystemMode(forward=(echo, echo), is_restricted=True)
    words = ["probe.py", str(echo), BROKER_ADDRESS, HOST_ADDRESS]
    guest = tier.start(zero2w, Job(words=words, folder=tmp_path))
    try:
        assert guest.wait(90) == 3
    finally:
        guest.stop()
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["machine"] == "aarch64"
    assert "cloud-arm64" in found["kernel"]
    assert 450_000 < found["memory_kb"] < 512 * 1024  # the kernel keeps some to itself
    assert found["broker"] == ["hello", "hello"]  # the second connection as well as the first
    assert found["host"] != "hello"
    assert not found["can_write_system"]
    assert (tmp_path / "written").read_text() == "there"
    assert not (tmp_path / "given").exists()
    assert guest.log.read_text().splitlines() == ["said"]
    assert not guest.is_running()


def test_a_round_survives_a_power_cut_and_one_without_flushes_does_not(
    zero2w: Board, tmp_path: Path
) -> None:
    need_tool("mosquitto")
    scenario = Scenario(
        title="one cut", claim="holds", fault="cuts", n_cuts=1, n_controls=1, rounds=2, disk_mb=48
    )
    outcome = player.play("one-cut", scenario, tmp_path, seed=6, tell=print)
    assert outcome.faults == ()
    assert outcome.facts["controls_broken"] == 1
    assert len(outcome.facts["cuts"]) == 1


def test_a_machine_that_does_not_start_is_told_in_qemu_s_words(
    zero2w: Board, tmp_path: Path
) -> None:
    strange = replace(zero2w, cpu="cortex-z80")
    with pytest.raises(EmulationError, match=r"did not start: .*cortex-z80"):
        TIER.start(strange, Job(words=["-c", "1"], folder=tmp_path))


def test_each_board_runs_or_is_refused_in_a_sentence() -> None:
    refused = {each.name: TIER.refusal(each) for each in BOARDS}
    assert {name for name, why in refused.items() if why is None} == {
        "zero2w", "pi3", "pi4", "pi5", "armv7",
    }  # fmt: skip
    assert "arm1176" in str(refused["zerow"])
    assert "no model of the Raspberry Pi 5" in str(BOARDS_THEMSELVES.refusal(board("pi5")))


@pytest.mark.long
@pytest.mark.timeout(10 * MINUTES)
def test_an_armv7_system_runs_a_job(tmp_path: Path) -> None:
    guest = TIER.start(ready(TIER, "armv7"), Job(words=["-c", _MACHINE], folder=tmp_path))
    try:
        assert guest.wait(5 * MINUTES) == 0, guest.log.read_text()
    finally:
        guest.stop()
    assert (tmp_path / "machine").read_text() == "armv7l"


_MACHINE = """
import platform, fedge._kernels, numpy
open("machine", "w").write(platform.machine())
"""


@pytest.mark.long
@pytest.mark.timeout(15 * MINUTES)
@pytest.mark.parametrize("name", ["zerow", "zero2w", "pi3", "pi4"])
def test_a_board_s_own_model_runs_a_job(name: str, tmp_path: Path) -> None:
    found = ready(BOARDS_THEMSELVES, name)
    refusal = BOARDS_THEMSELVES.refusal(found)
    if refusal is not None:
        missing(refusal)
    guest = BOARDS_THEMSELVES.start(found, Job(words=["-c", _MACHINE], folder=tmp_path))
    try:
        assert guest.wait(10 * MINUTES) == 0, guest.log.read_text()
    finally:
        guest.stop()
    assert (tmp_path / "machine").read_text() == found.system.machine


_COUNTS = """
from fedge.bench.instructions import Counter
def work():
    return sum(i * i for i in range(20000))
work()
for _ in range(2):
    with Counter() as counter:
        work()
        print(counter.read())
"""


@pytest.mark.long
@pytest.mark.timeout(10 * MINUTES)
def test_two_boots_count_the_same_instructions(zero2w: Board, tmp_path: Path) -> None:
    counts = []
    for boot in ("one", "two"):
        (tmp_path / boot).mkdir()
        job = Job(words=["-c", _COUNTS], folder=tmp_path / boot)
        guest = SystemMode(is_counted=True).start(zero2w, job)
        try:
            assert guest.wait(5 * MINUTES) == 0, guest.log.read_text()
        finally:
            guest.stop()
        counts.append([int(line) for line in guest.log.read_text().split()])
    assert counts[0][-1] > 20_000
    assert counts[0] == counts[1]
