"""`python -m firmware_sim bench`: the table, the picture, and the gate against growth."""

import json
from pathlib import Path

import pytest

from fedge.errors import ConfigError
from firmware_sim.bench import stored
from firmware_sim.bench.counts import Count, alike
from firmware_sim.bench.inside import read
from firmware_sim.bench.plot import plot
from firmware_sim.bench.report import text
from firmware_sim.bench.stored import Stored, complaints
from firmware_sim.build.processors import PROCESSORS, processor
from firmware_sim.cli.main import main
from firmware_sim.errors import EmulationError
from tests.support.tools import need_tool

pytestmark = pytest.mark.emulated

LINE = "encode x 1000 pack"


def _stored(count: int, compiler: str = "gcc 12", translator: str = "Cython 3.1") -> Stored:
    return Stored(translator, {"cortex-a53": compiler}, {"cortex-a53": {LINE: count}})


@pytest.mark.parametrize("new", [1, 999, 1000, 1020])
def test_growth_of_up_to_two_percent_is_no_complaint(new: int) -> None:
    assert complaints(_stored(1000), _stored(new)) == []


def test_a_complaint_names_kernel_processor_and_both_counts() -> None:
    (found,) = complaints(_stored(1000), _stored(1021))
    assert found == f"cortex-a53: {LINE} takes 1021 instructions, 2.1% more than 1000"


def test_what_was_never_stored_is_a_complaint() -> None:
    (found,) = complaints(Stored("Cython 3.1", {"cortex-a53": "gcc 12"}, {}), _stored(1))
    assert "has no stored count" in found
    assert "--store" in found


def test_counts_of_another_compiler_are_not_compared() -> None:
    (found,) = complaints(_stored(1000), _stored(10, compiler="gcc 14"))
    assert "code by gcc 12" in found
    assert "has gcc 14" in found


def test_an_allowance_is_for_another_compiler_too() -> None:
    old = _stored(1000)
    assert complaints(old, _stored(1100, compiler="gcc 14"), allowance=0.1) == []
    assert len(complaints(old, _stored(1001), allowance=0.0)) == 1
    assert len(complaints(old, _stored(1101, compiler="gcc 14"), allowance=0.1)) == 1


def test_another_cython_is_named_where_something_grew() -> None:
    assert complaints(_stored(1000), _stored(1000, translator="Cython 4")) == []
    assert "Cython 3.1" in complaints(_stored(1000), _stored(2000, translator="Cython 4"))[-1]


def test_a_stored_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    stored.write(_stored(1000), tmp_path / "counts.json")
    assert stored.read(tmp_path / "counts.json") == _stored(1000)


@pytest.mark.parametrize("content", ["", "[]", '{"counts": {}}'])
def test_a_damaged_stored_file_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "counts.json").write_text(content)
    with pytest.raises(ConfigError, match="not a file of counts"):
        stored.read(tmp_path / "counts.json")


def test_the_stored_counts_are_of_every_processor_by_one_compiler_each() -> None:
    found = stored.read(stored.STORED)
    assert set(found.counts) == set(found.compilers) == {each.name for each in PROCESSORS}
    assert len({frozenset(counts) for counts in found.counts.values()}) == 1


def _counts() -> list[Count]:
    pairs = (("cortex-a53", 500), ("cortex-a72", 500), ("arm1176", 1250))
    return [
        Count(board=board, work="encode x", n_params=1000, kernel="pack", size=10, unit="v", ours=n)
        for board, n in pairs
    ]


def test_boards_with_the_same_counts_share_a_column() -> None:
    assert alike(_counts()) == [["cortex-a53", "cortex-a72"], ["arm1176"]]
    head, row = text(_counts()).splitlines()
    assert "cortex-a53, cortex-a72" in head
    assert row.split()[-4:] == ["500", "(50)", "1", "250", "(125)"][-4:]


def test_plain_twins_have_a_column_where_there_are_any() -> None:
    line = {"work": "w", "n_params": 1000, "kernel": "k", "size": 10, "unit": "value"}
    counts = read("pi4", {"instructions": [{**line, "ours": 20, "twin": 3000}]})
    assert text(counts).splitlines()[-1].split()[-4:] == ["20", "(2)", "3", "000", "(300)"][-4:]
    assert "plain twin" in text(counts)


def test_what_is_no_result_of_a_board_is_refused() -> None:
    with pytest.raises(EmulationError, match="pi4"):
        read("pi4", {"figures": []})


def test_the_picture_is_a_picture(tmp_path: Path) -> None:
    plot(_counts(), tmp_path / "counts.png")
    assert (tmp_path / "counts.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_a_board_stands_for_its_processor() -> None:
    assert processor("pi4") is processor("cortex-a72")
    with pytest.raises(ConfigError, match="cortex-m33"):
        processor("pi6")


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs of the command, the first of which is kept as what is stored."""
    need_tool("aarch64-linux-gnu-gcc")
    folder = tmp_path_factory.mktemp("bench")
    words = ["bench", "--board", "pi3", "--kernel", "pack", "--size", "10000"]
    assert main([*words, "--json", str(folder / "first.json")]) == 0
    assert main([*words, "--json", str(folder / "second.json")]) == 0
    return folder


def test_a_second_run_gives_the_same_counts_to_the_instruction(counted: Path) -> None:
    first = json.loads((counted / "first.json").read_text())
    assert first["counts"]
    assert first == json.loads((counted / "second.json").read_text())


@pytest.mark.parametrize(("change", "code"), [(0, 0), (-0.03, 1)])
def test_the_gate_lets_pass_what_is_as_stored_and_fails_what_has_grown(
    counted: Path, change: float, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    result = json.loads((counted / "first.json").read_text())
    counts = [Count(**line) for line in result["counts"]]
    now = stored.made_here(counts)
    shrunk = {
        board: {line: int(count * (1 + change)) for line, count in lines.items()}
        for board, lines in now.counts.items()
    }
    stored.write(Stored(now.translator, now.compilers, shrunk), counted / "stored.json")
    words = ["bench", "--board", "pi3", "--kernel", "pack", "--size", "10000", "--check"]
    assert main([*words, "--stored", str(counted / "stored.json")]) == code
    said = capsys.readouterr().err
    assert ("cortex-a53" in said and "pack takes" in said) == bool(code)


@pytest.mark.parametrize(
    "words",
    [
        ["--tier", "system", "--check"],
        ["--store", "--board", "pi3"],
        ["--board", "pi6"],
        ["--kernel", "fold"],
        ["--check", "--stored", "/nowhere.json", "--board", "pi3", "--kernel", "pack"],
    ],
)
def test_a_wrong_command_is_refused_in_a_sentence(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    need_tool("aarch64-linux-gnu-gcc")
    assert main(["bench", *words]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()[-1]) > 10
