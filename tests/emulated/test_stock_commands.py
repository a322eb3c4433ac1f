"""The commands that list, look for, fetch and build; each as a person runs it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from firmware_sim.boards import BOARDS, SYSTEMS
from firmware_sim.cli.doctor import commands
from firmware_sim.errors import ArchiveError
from firmware_sim.tiers.base import Need
from firmware_sim.tiers.named import TIERS
from tests.support.tools import need_package, need_tool, unavailable

pytestmark = pytest.mark.emulated

ROOT = Path(__file__).parents[2]


def run(*words: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "firmware_sim", *words],
        cwd=ROOT,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )


def skip_for_an_archive(done: subprocess.CompletedProcess[str]) -> None:
    if done.returncode == ArchiveError.exit_code:
        unavailable(done.stderr.splitlines()[0])


def result(path: Path) -> Any:
    return json.loads(path.read_text())


@pytest.mark.parametrize("command", ["boards", "doctor", "fetch", "build"])
def test_a_command_tells_its_flags(command: str) -> None:
    done = run(command, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "--json FILE" in done.stdout


def test_boards_says_of_every_tier_what_it_may_claim_and_whom_it_refuses(tmp_path: Path) -> None:
    done = run("boards", "--json", tmp_path / "boards.json")
    assert done.returncode == 0, done.stderr
    found = result(tmp_path / "boards.json")
    assert set(found["tiers"]) == set(TIERS)
    assert set(found["boards"]) == {board.name for board in BOARDS}
    assert found["boards"]["pi5"]["refused"]["user"] is None
    assert "no model" in found["boards"]["pi5"]["refused"]["board"]
    for tier in found["tiers"].values():
        assert tier["may_claim"] in done.stdout
        assert tier["may_not_claim"] in done.stdout


def test_doctor_names_what_is_missing_and_the_command_that_installs_it(tmp_path: Path) -> None:
    done = run("doctor", "--tier", "user", "--json", tmp_path / "needs.json", PATH=str(tmp_path))
    assert done.returncode == 1
    assert "MISSING  qemu-aarch64-static" in done.stdout
    (command,) = [line for line in done.stdout.splitlines() if line.startswith("  sudo apt")]
    assert "qemu-user-static" in command.split()
    needs = {need["name"]: need for need in result(tmp_path / "needs.json")["needs"]}
    assert needs["qemu-aarch64-static"]["tiers"] == ["user"]
    assert not needs["qemu-aarch64-static"]["is_met"]


def test_doctor_asks_only_for_what_the_boards_need(tmp_path: Path) -> None:
    need_tool("qemu-aarch64-static")
    done = run("doctor", "--tier", "user", "--board", "pi3", "--json", tmp_path / "needs.json")
    assert done.returncode == 0, done.stdout
    names = {need["name"] for need in result(tmp_path / "needs.json")["needs"]}
    assert "qemu-aarch64-static" in names
    assert not {"qemu-arm-static", "qemu-system-arm"} & names


def test_one_command_installs_all_packages_of_debian() -> None:
    needs = [
        Need("a", "", "sudo apt install two one", is_met=False),
        Need("b", "", "pip install unicorn", is_met=False),
        Need("c", "", "sudo apt install three one", is_met=False),
    ]
    assert commands(needs) == ["sudo apt install one three two", "pip install unicorn"]


def test_an_unknown_board_is_a_sentence() -> None:
    done = run("fetch", "--board", "pi9")
    assert done.returncode == 2
    assert done.stderr.startswith("firmware_sim: there is no board 'pi9': choose from zerow,")


def test_fetch_brings_what_a_board_needs_and_says_its_size(tmp_path: Path) -> None:
    need_tool("apt-get")
    done = run("fetch", "--board", "zero2w", "--json", tmp_path / "fetched.json")
    skip_for_an_archive(done)
    assert done.returncode == 0, done.stderr
    sizes = result(tmp_path / "fetched.json")["unpacked_mb"]
    assert sizes["Debian bookworm-arm64"] > 50
    assert sizes["Python packages for aarch64"] > 50
    assert not any("kernel" in name for name in sizes)


def test_archives_that_cannot_be_reached_are_a_sentence_each_and_leave_nothing(
    tmp_path: Path,
) -> None:
    need_tool("apt-get")
    nowhere = tmp_path / "apt.conf"
    nowhere.write_text('Acquire::http::Proxy "http://127.0.0.1:9/";\nAcquire::Retries "0";\n')
    done = run(
        *["fetch", "--board", "zero2w"],
        APT_CONFIG=str(nowhere),
        PIP_CONFIG_FILE=os.devnull,
        PIP_INDEX_URL="http://127.0.0.1:9/",
        PIP_EXTRA_INDEX_URL="",
        PIP_RETRIES="1",
        FEDGE_EMULATION_CACHE=str(tmp_path / "cache"),
    )
    assert done.returncode == 13  # of an archive's fault; and every item was tried
    assert "Traceback" not in done.stderr
    assert "unavailable: Debian bookworm for arm64: Could not connect to 127.0.0.1:9" in done.stderr
    assert "unavailable: Python packages for aarch64: " in done.stderr
    assert list((tmp_path / "cache" / "apt").iterdir()) == []


def test_build_puts_a_checked_wheel_for_every_system_into_a_folder(tmp_path: Path) -> None:
    need_package("elftools")
    for system in SYSTEMS:
        need_tool(f"{system.triplet}-gcc")
    done = run("build", "--out", tmp_path / "dist", "--json", tmp_path / "wheels.json")
    skip_for_an_archive(done)
    assert done.returncode == 0, done.stderr
    wheels = {path.name for path in (tmp_path / "dist").iterdir()}
    assert {name.rpartition("linux_")[2] for name in wheels} == {
        f"{system.machine}.whl" for system in SYSTEMS
    }
    found = result(tmp_path / "wheels.json")
    assert found["armv6l"]["floats"] == "soft"
    assert all(name in done.stdout for name in wheels)
