"""One archive's fault costs the boards that need it, aloud, and nothing else."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from firmware_sim.boards import ARMEL, System
from firmware_sim.build.wheels import wheel
from firmware_sim.cli import build, fetch
from firmware_sim.cli.main import main
from firmware_sim.errors import ArchiveError, EmulationError
from firmware_sim.stock.item import Item
from firmware_sim.stock.rootfs import item as debian_item
from tests.support.tools import need_package, need_tool

pytestmark = pytest.mark.emulated

ROOT = Path(__file__).parents[2]
REASON = "404 Not Found: libc6_2.41-12+deb13u5_armel.deb and 7 more"
SENTENCE = f"unavailable: Debian bookworm for armel: {REASON}"
FAULT = ArchiveError("Debian bookworm for armel", REASON)


def failing(error: EmulationError) -> Callable[[Path, Callable[[str], None]], None]:
    def make(_folder: Path, _tell: Callable[[str], None]) -> None:
        raise error

    return make


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FEDGE_EMULATION_CACHE", str(tmp_path / "cache"))
    return tmp_path


@pytest.fixture
def without_zerow(home: Path) -> Path:
    """A cache that remembers that the Zero W's Debian could not be had."""
    with pytest.raises(ArchiveError):
        replace(debian_item(ARMEL), make=failing(FAULT)).fetch(lambda _line: None)
    return home


@pytest.mark.parametrize(
    ("others", "code"),
    [([], 13), ([EmulationError("arm-linux-gnueabi-g++ is not installed")], 12)],
    ids=["an archive's fault alone", "and one of this machine"],
)
def test_fetch_goes_on_after_a_fault_and_its_exit_code_says_whose_it_is(
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    others: list[EmulationError],
    code: int,
) -> None:
    items = [
        Item("Debian of one", "rootfs/one", "key", failing(FAULT)),
        *[Item("onnx of one", "onnx/one", "key", failing(error)) for error in others],
        Item("Debian of another", "rootfs/another", "key", lambda _folder, _tell: None),
    ]
    monkeypatch.setattr(fetch, "_items", lambda _boards, **_kernels: items)
    assert main(["fetch", "--json", str(home / "fetched.json")]) == code
    found = json.loads((home / "fetched.json").read_text())
    assert list(found["unpacked_mb"]) == ["Debian of another"]
    assert found["failed"]["Debian of one"] == SENTENCE
    assert SENTENCE in capsys.readouterr().err.splitlines()
    assert (home / "cache/rootfs/another/key").is_dir()


def test_boards_and_doctor_say_which_board_is_unavailable_and_why_without_network(
    without_zerow: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(without_zerow))  # no apt, no pip
    assert main(["boards", "--json", str(without_zerow / "boards.json")]) == 0
    lines = capsys.readouterr().out.splitlines()
    (zerow,) = (line for line in lines if line.startswith("zerow "))
    assert zerow.split()[-4:] == ["runs", "unavailable", "-", "runs"]  # count, user, system, board
    assert f"  cannot have zerow now: {SENTENCE}" in lines
    boards = json.loads((without_zerow / "boards.json").read_text())["boards"]
    assert boards["zerow"]["unavailable"]["user"] == SENTENCE
    assert set(boards["zero2w"]["unavailable"].values()) == {None}
    main(["doctor", "--board", "zerow", "--json", str(without_zerow / "needs.json")])
    assert f"zerow: {SENTENCE}" in capsys.readouterr().out.splitlines()
    found = json.loads((without_zerow / "needs.json").read_text())
    assert found["unavailable"] == {"zerow": SENTENCE}


def test_a_fleet_with_an_unavailable_board_is_refused_in_that_sentence(
    without_zerow: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    need_tool("qemu-arm-static")
    words = ["run", "--boards", "zerow,host", "--out", str(without_zerow / "run")]
    assert main(words) == 13
    assert f"firmware_sim: {SENTENCE} (" in capsys.readouterr().err


def test_build_makes_the_wheels_that_need_nothing_of_the_faulty_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    need_package("elftools")
    need_tool("aarch64-linux-gnu-gcc")

    def faulty(system: System) -> Path:
        if system is ARMEL:
            raise FAULT
        return wheel(system)

    monkeypatch.setattr(build, "wheel", faulty)
    words = ["build", "--board", "zerow", "--board", "zero2w", "--out", str(tmp_path)]
    assert main(words) == 13
    (made,) = tmp_path.iterdir()
    assert made.name.endswith("linux_aarch64.whl")
    assert SENTENCE in capsys.readouterr().err.splitlines()


@pytest.mark.parametrize(("code", "whether"), [(0, "goes on"), (13, "goes on"), (12, "stops")])
def test_make_boards_goes_on_after_an_archives_fault_only(
    tmp_path: Path, code: int, whether: str
) -> None:
    need_tool("make")
    (tmp_path / "bin").mkdir()
    python = tmp_path / "bin/python"
    python.write_text(f'#!/bin/sh\necho "$3" >> "{tmp_path}/ran"\nexit {code}\n')
    python.chmod(0o755)
    for stamp in ("base.stamp", "dev.stamp"):
        (tmp_path / stamp).touch()
    done = subprocess.run(
        ["make", "boards", f"VENV={tmp_path}"], cwd=ROOT, capture_output=True, check=False
    )
    ran = (tmp_path / "ran").read_text().split()
    if whether == "goes on":
        assert (done.returncode, ran) == (0, ["fetch", "build"])
    else:
        assert (done.returncode, ran) == (2, ["fetch"])


_TESTS = f"""
import pytest
from firmware_sim.errors import ArchiveError
from tests.support.tools import need_tool
FAULT = ArchiveError("Debian bookworm for armel", {REASON!r})
@pytest.fixture
def zerow(): raise FAULT
def test_one(zerow): pass
def test_two(): raise FAULT
def test_three(): pytest.skip("of another reason")
def test_four(): need_tool("no-such-program")
"""


def test_an_archives_fault_skips_in_ci_and_is_summed_up_while_a_missing_program_fails(
    tmp_path: Path,
) -> None:
    (tmp_path / "test_few.py").write_text(_TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    plugins = ["-p", "tests.conftest", "-p", "tests.emulated.conftest"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *plugins, "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "FEDGE_REQUIRE": "1",
            "FEDGE_UNAVAILABLE": str(tmp_path / "told"),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 failed, 3 skipped" in done.stdout
    assert "no-such-program is not installed, and FEDGE_REQUIRE forbids skipping" in done.stdout
    assert f"skipped 2 tests: {SENTENCE}" in done.stdout.splitlines()
    assert (tmp_path / "told").read_text() == f"skipped 2 tests: {SENTENCE}\n"
