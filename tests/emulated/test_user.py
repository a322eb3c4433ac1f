"""Programs on boards under QEMU's user mode: what they take the machine for, and what holds them.

What each board has is written down here by hand, from the boards' data sheets.
"""

import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedge.errors import MissingDependencyError
from firmware_sim.boards import Board
from firmware_sim.errors import EmulationError
from firmware_sim.tiers.base import Job, RunsPrograms
from firmware_sim.tiers.profile import profile
from firmware_sim.tiers.user import TIER, UserMode
from tests.support.boards import ready

pytestmark = pytest.mark.emulated

_PROBE = """
import json, os, platform, struct, sys
fields = [line.split(":")[1].strip() for line in open("/proc/cpuinfo") if "CPU part" in line]
json.dump({
    "machine": platform.machine(),
    "n_cores": os.cpu_count(),
    "memory_kb": int(open("/proc/meminfo").readline().split()[1]),
    "parts": fields,
    "bits": 8 * struct.calcsize("P"),
    "python": "%d.%d" % sys.version_info[:2],
    "hash": hash("fedge"),
    "threads": [os.environ[name] for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")],
    "seen": sorted(os.environ),
}, open("found.json", "w"))
"""


def run(
    board: Board,
    folder: Path,
    program: str,
    tier: RunsPrograms = TIER,
    environment: Mapping[str, str] | None = None,
) -> tuple[int, str]:
    """The exit code, and all that was printed."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "probe.py").write_text(program)
    guest = tier.start(board, Job(words=["probe.py"], folder=folder, environment=environment or {}))
    code = guest.wait(120)
    return code, guest.log.read_text()


def probe(board: Board, folder: Path, **environment: str) -> dict[str, Any]:
    code, printed = run(board, folder, _PROBE, environment=environment)
    assert code == 0, printed
    found: dict[str, Any] = json.loads((folder / "found.json").read_text())
    return found


_BOARDS = {
    "zero2w": {"machine": "aarch64", "bits": 64, "n_cores": 4, "memory_kb": 524288},
    "pi5": {"machine": "aarch64", "bits": 64, "n_cores": 4, "memory_kb": 4194304},
    "armv7": {"machine": "armv7l", "bits": 32, "n_cores": 4, "memory_kb": 1048576},
    "zerow": {"machine": "armv6l", "bits": 32, "n_cores": 1, "memory_kb": 524288},
}
_PARTS = {"zero2w": "0xd03", "pi5": "0xd0b", "armv7": "0xc07", "zerow": "0xb76"}  # Arm's numbers


@pytest.mark.parametrize("name", list(_BOARDS))
def test_a_program_finds_the_board_it_was_started_on(tmp_path: Path, name: str) -> None:
    found = probe(ready(TIER, name), tmp_path)
    assert {field: found[field] for field in _BOARDS[name]} == _BOARDS[name]
    assert found["parts"] == [_PARTS[name]] * found["n_cores"]
    assert found["python"] == ("3.13" if found["machine"] == "armv7l" else "3.11")


def test_a_program_runs_the_same_twice_and_sees_nothing_of_this_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = ready(TIER, "zero2w")
    monkeypatch.setenv("FEDGE_DEVICE_BROKER", "mqtt://elsewhere")
    monkeypatch.setenv("QEMU_CPU", "max")
    first = probe(board, tmp_path / "a", FEDGE_DEVICE_ID="named")
    second = probe(board, tmp_path / "b", FEDGE_DEVICE_ID="named")
    assert first == second  # the hash of a text as well, which Python would draw by chance
    assert first["threads"] == ["1", "1"]
    assert "FEDGE_DEVICE_BROKER" not in first["seen"]
    assert "FEDGE_DEVICE_ID" in first["seen"]


def test_a_program_that_fails_says_why_in_its_log(tmp_path: Path) -> None:
    code, printed = run(ready(TIER, "zero2w"), tmp_path, "raise SystemExit('no such sensor')")
    assert code == 1
    assert "no such sensor" in printed


_FILL = "block = bytearray({size_mb} << 20); print(len(block) >> 20)"


def test_a_capped_program_gets_no_more_addresses_than_the_board_has_memory(
    tmp_path: Path,
) -> None:
    board = ready(TIER, "zero2w")
    capped = UserMode(is_capped=True)
    code, printed = run(board, tmp_path / "little", _FILL.format(size_mb=64), capped)
    assert (code, printed.strip()) == (0, "64")
    code, printed = run(board, tmp_path / "much", _FILL.format(size_mb=700), capped)
    assert code == 1
    assert "MemoryError" in printed


def test_without_a_cap_memory_is_this_machines(tmp_path: Path) -> None:
    code, printed = run(ready(TIER, "zero2w"), tmp_path, _FILL.format(size_mb=700))
    assert (code, printed.strip()) == (0, "700")


def test_a_cap_is_refused_where_qemu_cannot_hold_it() -> None:
    for name in ("zerow", "armv7"):
        refusal = UserMode(is_capped=True).refusal(ready(TIER, name))
        assert refusal is not None
        assert "64-bit" in refusal
    assert UserMode(is_capped=True).refusal(ready(TIER, "pi4")) is None


def test_a_board_without_onnxruntime_says_so_at_once_and_offers_the_other_engine(
    tmp_path: Path,
) -> None:
    np.savez(tmp_path / "data.npz", x=np.zeros((4, 2), np.float32), y=np.zeros(4, np.int64))
    words = ["-m", "fedge", "device", "--engine", "onnxruntime", "--data", "data.npz"]
    guest = TIER.start(ready(TIER, "zerow"), Job(words=words, folder=tmp_path))
    assert guest.wait(120) == MissingDependencyError.exit_code
    (sentence,) = guest.log.read_text().splitlines()
    assert sentence.startswith("fedge: the engine onnxruntime cannot be loaded")
    assert "use the reference engine" in sentence


def test_a_guest_reaches_this_machines_loopback(tmp_path: Path) -> None:
    with socket.create_server((TIER.loopback, 0)) as server:
        server.settimeout(60)
        port = server.getsockname()[1]
        program = f"""
import socket
with socket.create_connection(("{TIER.loopback}", {port})) as link:
    link.sendall(b"from an ARM program")
"""
        board = ready(TIER, "zero2w")
        (tmp_path / "probe.py").write_text(program)
        guest = TIER.start(board, Job(words=["probe.py"], folder=tmp_path))
        connection, _ = server.accept()
        with connection:
            assert connection.recv(100) == b"from an ARM program"
        assert guest.wait(60) == 0


def test_a_profile_of_a_processor_nobody_described_is_refused() -> None:
    board = ready(TIER, "zero2w")
    strange = Board(
        name="x", title="x", system=board.system, cpu="cortex-a35", memory_mb=1, n_cores=1
    )
    with pytest.raises(EmulationError, match="cortex-a35"):
        profile(strange)
