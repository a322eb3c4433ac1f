"""The kernels' C headers compute the same bits however and for whatever they are compiled."""

import subprocess
from pathlib import Path

import pytest

from tests.support.tools import missing, need_tool

HERE = Path(__file__).parent
KERNELS = HERE.parents[1] / "fedge" / "_kernels"
FLAGS = ["-ffp-contract=off", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-I", str(KERNELS)]
LEVELS = {"x86-64-v3": "avx2", "x86-64-v4": "avx512vl"}  # what gcc may use, by a feature of each
HASH = "417b0a44a141f898"  # found once, and the same everywhere since


def _hash(folder: Path, compiler: str, *flags: str, runner: tuple[str, ...] = ()) -> str:
    program = folder / "headers"
    command = [need_tool(compiler), *FLAGS, *flags, str(HERE / "headers.c"), "-o", str(program)]
    subprocess.run(command, check=True)
    ran = subprocess.run([*runner, str(program)], check=True, capture_output=True, text=True)
    return ran.stdout.strip()


@pytest.mark.parametrize("level", ["-O0", "-O1", "-O2", "-O3"])
def test_optimising_changes_no_bit(tmp_path: Path, level: str) -> None:
    assert _hash(tmp_path, "gcc", level, "-DFEDGE_CLONES=") == HASH


def test_wider_vectors_change_no_bit(tmp_path: Path) -> None:
    """All levels that this processor has; the loader picks no others here."""
    features = Path("/proc/cpuinfo").read_text().split()
    levels = [level for level, feature in LEVELS.items() if feature in features]
    if not levels:
        missing("an x86-64 processor with AVX2")
    for level in levels:
        assert _hash(tmp_path, "gcc", "-O3", "-DFEDGE_CLONES=", f"-march={level}") == HASH, level


def test_the_clone_that_the_loader_picks_changes_no_bit(tmp_path: Path) -> None:
    assert _hash(tmp_path, "gcc", "-O3") == HASH


@pytest.mark.emulated
@pytest.mark.parametrize(
    ("compiler", "emulator"),
    [
        ("aarch64-linux-gnu-gcc", "qemu-aarch64-static"),
        ("arm-linux-gnueabihf-gcc", "qemu-arm-static"),
    ],
)
def test_arm_computes_the_same_bits(tmp_path: Path, compiler: str, emulator: str) -> None:
    runner = (need_tool(emulator),)
    assert _hash(tmp_path, compiler, "-O3", "-static", runner=runner) == HASH
