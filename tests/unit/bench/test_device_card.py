"""The card's other parts: sizes, start-ups, the peer's program, the table."""

import json
import sys
from pathlib import Path
from typing import Self

import pytest

from fedge.artifact import Slot
from fedge.bench.device import flower, fresh, installed, peer, probe, report
from fedge.bench.device.figures import Card, Figures
from fedge.cli.main import main
from fedge.errors import ConfigError


def distribution(folder: Path, name: str, requires: list[str], size: int) -> None:
    """As an installer leaves it: one module of so many bytes, and what it says of itself."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    lines = ["Metadata-Version: 2.1", f"Name: {name}", "Version: 1.0"]
    (info / "METADATA").write_text("\n".join([*lines, *(f"Requires-Dist: {r}" for r in requires)]))
    (folder / f"{name}.py").write_bytes(b"#" * size)
    (info / "RECORD").write_text(f"{name}.py,,\n{name}-1.0.dist-info/gone,,\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_a_size_is_that_of_the_distribution_and_all_it_requires(site: Path) -> None:
    distribution(site, "top", ["middle-one>=1", "leaf (>=1.0)"], 100)
    distribution(site, "middle_one", ["leaf<2"], 20)
    distribution(site, "leaf", ["top"], 3)  # in a circle
    found = installed.measure(["top"])
    assert found.sizes == {"top": 100, "middle-one": 20, "leaf": 3}
    assert found.versions["leaf"] == "1.0"
    assert found.missing == []


def test_an_extra_counts_only_where_a_requirement_asks_for_it(site: Path) -> None:
    distribution(site, "top", ["leaf[fast]", 'unwanted; extra == "more"'], 100)
    distribution(site, "leaf", ["quick; extra == 'fast'", "slow; extra == 'safe'"], 3)
    for name in ("quick", "slow", "unwanted"):
        distribution(site, name, [], 1)
    assert set(installed.measure(["top"]).sizes) == {"top", "leaf", "quick"}


def test_what_is_required_and_not_there_is_named_unless_a_condition_may_rule_it_out(
    site: Path,
) -> None:
    distribution(site, "top", ["nowhere-1", 'nowhere-2; python_version < "3"'], 100)
    found = installed.measure(["top"])
    assert found.missing == ["nowhere-1"]
    figures = probe.size(found)
    assert figures.values == {"installed_bytes": 100}
    assert "nowhere-1" in figures.notes["installed_bytes"]


def test_a_package_of_a_linux_distribution_has_the_size_of_its_folder(site: Path) -> None:
    info = site / "packed-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: packed\nVersion: 1.0\n")
    (site / "packed").mkdir()
    (site / "packed" / "code.so").write_bytes(bytes(77))
    assert installed.measure(["packed"]).sizes == {"packed": 77}


def test_what_python_has_compiled_counts_once_whoever_lists_it(site: Path) -> None:
    distribution(site, "top", [], 100)
    (site / "__pycache__").mkdir()
    compiled = f"__pycache__/top.{sys.implementation.cache_tag}.pyc"
    (site / compiled).write_bytes(bytes(40))
    assert installed.measure(["top"]).sizes == {"top": 140}
    with (site / "top-1.0.dist-info" / "RECORD").open("a") as record:
        record.write(f"{compiled},,\n")
    assert installed.measure(["top"]).sizes == {"top": 140}


def test_a_device_needs_the_four_packages_that_the_documents_name() -> None:
    found = installed.measure(["fedge"])
    assert {"fedge", "numpy", "onnxruntime", "paho-mqtt", "cbor2"} <= set(found.sizes)
    assert found.missing == []
    assert found.sizes["fedge"] > 1e6  # though it may be used from its sources


_CHILD = """
import json, sys, time
print("a library says something")
print(json.dumps({"import_s": 0.25, "at_s": time.monotonic(), "cpu_s": 0.5}))
"""


def test_a_start_up_takes_from_the_start_of_the_interpreter_to_the_end_of_the_step() -> None:
    figures = fresh.start_up([sys.executable, "-c", _CHILD], repeats=2)
    assert figures.values["import_s"] == 0.25
    assert figures.values["first_step_cpu_s"] == 0.5
    assert 0 < (figures.values["first_step_s"] or 0) < 5


class Counter:
    """The processor's, which virtual machines lack."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def read(self) -> int:
        return 900


def test_where_instructions_are_counted_those_of_a_start_up_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fresh, "Counter", Counter)
    figures = fresh.start_up([sys.executable, "-c", _CHILD], repeats=1)
    assert figures.values["first_step_instructions"] == 900


def test_no_start_up_is_made_that_was_not_asked_for() -> None:
    figures = fresh.start_up(["/no/such/python"], repeats=0)
    assert set(figures.values.values()) == {None}
    assert set(figures.notes.values()) == {"no start-up was asked for"}


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["/no/such/python"], "No such file"),
        ([sys.executable, "-c", "raise SystemExit('it has no engine')"], "it has no engine"),
        ([sys.executable, "-c", "print('no JSON')"], "Expecting value"),
    ],
)
def test_a_start_up_that_fails_leaves_a_reason_in_place_of_times(
    command: list[str], said: str
) -> None:
    figures = fresh.start_up(command, repeats=1)
    assert set(figures.values.values()) == {None}
    assert said in figures.notes["import_s"]


def test_each_pass_takes_every_example_once() -> None:
    orders = iter([[2, 0, 1, 4, 3], [4, 3, 2, 1, 0]])
    drawn = flower.batches(5, 2, lambda n: next(orders))
    assert [next(drawn) for _ in range(5)] == [[2, 0], [1, 4], [3], [4, 3], [2, 1]]


def test_the_peer_has_layers_like_the_artifact() -> None:
    shapes = [("w0", (192, 64)), ("b0", (192,)), ("w1", (192, 192)), ("w2", (10, 192))]
    layout = tuple(
        Slot(name, shape, 0, trainable=True, kind="weight" if len(shape) == 2 else "bias")
        for name, shape in shapes
    )
    assert peer.layer_sizes(layout) == [64, 192, 192, 10]


def test_the_peers_program_knows_what_it_is_told() -> None:
    words = "client --port 7 --json r.json --data d.npz --layers 2,1 --batch-size 16 --lr 0.2"
    args = flower.parse(words.split())
    assert (args.role, args.port, args.steps, args.lr) == ("client", 7, 1, 0.2)


def test_a_peer_that_is_not_installed_is_named() -> None:
    assert peer.Peer(sys.executable).missing() in ([], ["flwr"], ["torch"], ["torch", "flwr"])


def test_an_interpreter_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected Python"):
        peer.Peer("/no/such/python").missing()


def card(who: str, **values: float | None) -> Card:
    return Card(who=who, figures=Figures(values, {}), installed={})


def test_the_table_says_how_many_times_ours_the_other_takes() -> None:
    cards = [
        card("ours", cpu_s=0.0125, sent_bytes=800),
        card("theirs", cpu_s=0.025, sent_bytes=None),
    ]
    lines = report.text(cards).splitlines()
    assert lines[0].split() == ["what", "ours", "theirs", "times", "ours"]
    (cpu,) = [line for line in lines if line.startswith("CPU time")]
    assert cpu.split()[-5:] == ["12.5", "ms", "25.0", "ms", "2.00x"]
    (sent,) = [line for line in lines if line.startswith("sent")]
    assert sent.split()[-4:] == ["0.800", "kB", "-", "-"]


def test_what_is_missing_is_explained_once_for_all_the_lines_it_is_missing_from() -> None:
    why = dict.fromkeys(("import_s", "first_step_s"), "no fresh interpreter")
    text = report.text([Card(who="ours", figures=Figures({}, why), installed={})], ["flwr: get it"])
    assert text.count("no fresh interpreter") == 1
    assert "not compared: flwr: get it" in text


def test_a_card_survives_its_file() -> None:
    one = Card(
        who="ours", figures=Figures({"cpu_s": None}, {"cpu_s": "why"}), installed={"fedge": 1}
    )
    assert Card.from_json(json.loads(json.dumps(one.to_json()))) == one


def test_data_without_a_broker_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "device", "--data", "d.npz"]) == 2
    assert "--broker" in capsys.readouterr().err


def test_a_broker_without_data_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "device", "--broker", "mqtt://127.0.0.1:1"]) == 2
    assert "--data" in capsys.readouterr().err
