"""Cost cards of boards: what each tier may say, and one of them measured."""

import json
from pathlib import Path

import pytest

from fedge.bench.device.figures import Card, Figures
from firmware_sim.bench.cards.boards import tier_for
from firmware_sim.bench.cards.claims import claimed
from firmware_sim.bench.cards.column import Column
from firmware_sim.bench.cards.debian import sizes, with_packages
from firmware_sim.bench.cards.report import text
from firmware_sim.boards import ARM64, ARMEL, board
from firmware_sim.cli.main import main
from firmware_sim.errors import EmulationError
from firmware_sim.tiers.system import SystemMode
from firmware_sim.tiers.user import TIER, UserMode
from tests.support.boards import ready
from tests.support.tools import need_package, need_tool

_ALL = {
    "installed_bytes": 1e8,
    "import_s": 2.0,
    "first_step_s": 3.0,
    "first_step_cpu_s": 2.5,
    "first_step_instructions": 9e8,
    "peak_training_bytes": 8e7,
    "peak_upload_bytes": 7e7,
    "peak_bytes": 9e7,
    "sent_bytes": 800.0,
    "received_bytes": 1200.0,
    "cpu_s": 0.5,
    "instructions": 4e7,
}
_ALWAYS = {"installed_bytes", "sent_bytes", "received_bytes"}
_MEMORY = {"peak_training_bytes", "peak_upload_bytes", "peak_bytes"}
_COUNTS = {"instructions", "first_step_instructions"}


def card(**values: float | None) -> Card:
    return Card(who="ours", figures=Figures(values, {}), installed={"fedge": 5})


@pytest.mark.parametrize(
    ("tier", "counter", "shown"),
    [
        ("user", "none", _ALWAYS),
        ("system", "none", _ALWAYS | _MEMORY),
        ("system", "counter", _ALWAYS | _MEMORY | _COUNTS),
        ("board", "none", _ALWAYS | _MEMORY),
    ],
)
def test_a_figure_that_a_tier_may_not_claim_is_a_reason_instead(
    tier: str, counter: str, shown: set[str]
) -> None:
    figures = claimed(card(**_ALL), tier, is_counted=counter == "counter").figures
    values = {name: value for name, value in figures.values.items() if value is not None}
    assert values == {name: _ALL[name] for name in shown}
    assert set(figures.notes) >= set(_ALL) - shown


def test_a_board_goes_where_most_may_be_claimed_of_it() -> None:
    assert tier_for(board("zerow"), None).name == "board"
    assert tier_for(board("pi5"), None) == SystemMode(is_counted=True)
    assert tier_for(board("armv7"), None) == SystemMode()  # no counter on 32 bits


def test_in_user_mode_a_board_has_its_memory_where_qemu_can_hold_it() -> None:
    assert tier_for(board("zero2w"), "user") == UserMode(is_capped=True)
    assert tier_for(board("zerow"), "user") == UserMode()


def test_a_board_is_refused_with_its_name_where_it_cannot_run() -> None:
    with pytest.raises(EmulationError, match=r"zerow on tier system: .*no arm1176"):
        tier_for(board("zerow"), "system")


def test_a_command_that_can_measure_no_board_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cards", "--board", "zerow", "--tier", "system"]) == 12
    assert "no arm1176" in capsys.readouterr().err


def test_each_reason_is_given_once_below_the_table() -> None:
    why = "emulator times say nothing about a board"
    columns = [
        Column(
            name=name,
            place="tier user",
            engine="reference",
            card=claimed(card(**_ALL), "user", is_counted=False),
            machine={},
        )
        for name in ("zerow", "armv7")
    ]
    table = text(columns, ["pi9: there is none"])
    (row,) = [line for line in table.splitlines() if line.startswith("CPU time per round")]
    assert row.split()[-4:] == ["-", "[2]", "-", "[2]"]
    assert table.count(why) == 1
    assert f"[2] {why}" in table
    assert table.endswith("not measured: pi9: there is none")
    (sent,) = [line for line in table.splitlines() if line.startswith("sent per round")]
    assert sent.split()[-4:] == ["0.800", "kB", "0.800", "kB"]


def test_a_size_is_a_boards_own_where_all_comes_from_the_package_index() -> None:
    own = card(**_ALL)
    assert with_packages(own, ARM64) is own


@pytest.mark.emulated
def test_what_a_device_on_armv6_trains_sends_and_takes(tmp_path: Path) -> None:
    """The same job, with the second engine, to the size of its messages."""
    need_tool("mosquitto")
    need_package("sklearn")
    ready(TIER, "zerow")
    file = tmp_path / "cards.json"
    words = ["--board", "zerow", "--tier", "user", "--rounds", "2", "--repeats", "1"]
    assert main(["cards", *words, "--json", str(file)]) == 0
    here, there = json.loads(file.read_text())["columns"]
    assert (here["name"], here["place"]) == ("native", "this machine")
    assert (there["name"], there["place"]) == ("zerow", "tier user")
    assert (there["engine"], there["machine"]["architecture"]) == ("reference", "armv6l")
    ours, boards = here["figures"]["values"], there["figures"]["values"]
    for name in ("sent_bytes", "received_bytes"):  # codes of other last digits have other lengths
        assert boards[name] == pytest.approx(ours[name], rel=0.05)
    # An update is 515 of 51466 deltas, a place and a sign each: H(1 %) = 0.081 bits a parameter,
    # 521 bytes, and 64 of signs; the rest is header, topic and MQTT.
    assert 585 < boards["sent_bytes"] < 1000
    assert ours["cpu_s"] > 0
    assert [boards[name] for name in ("cpu_s", "peak_bytes", "instructions")] == [None] * 3


@pytest.mark.emulated
def test_debians_packages_count_if_they_are_there_for_fedge() -> None:
    ready(TIER, "zerow")
    found = sizes(ARMEL)
    assert {"python3-numpy", "python3-protobuf", "libprotobuf32", "libblas3"} <= set(found)
    assert not {"python3.11-minimal", "libpython3.11-stdlib", "libc6"} & set(found)
    assert found["python3-numpy"] == 22650 * 1024  # Installed-Size in Debian's list of bookworm
    whole = with_packages(
        Card(
            who="ours",
            figures=Figures(_ALL, {}),
            installed={"fedge": 5, "onnx": 7, "numpy": 9},  # Debian's onnx is not this one
        ),
        ARMEL,
    )
    assert whole.figures.values["installed_bytes"] == 5 + 7 + sum(found.values())
    assert "numpy" not in whole.installed  # it is python3-numpy's
