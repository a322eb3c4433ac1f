"""`fedge bench federation`: what it plays, skips, shows and refuses."""

import gzip
import json
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fedge.bench.federation import methods, tasks
from fedge.bench.federation.grid import Grid, summarise
from fedge.bench.federation.report import tables
from fedge.bench.federation.run import Result, run
from fedge.bench.federation.setting import Setting
from fedge.cli.main import main
from fedge.data import Dataset, write_npz
from fedge.errors import ConfigError, DataError

SMALL = ["bench", "federation", "--rounds", "2", "--seeds", "1", "--methods", "fedavg"]
FIRST = Setting(task="digits", split="0.03", method="fedavg", way="float32", seed=0, rounds=100)


def result(method: str, way: str, seed: int, accuracies: list[float], up: int) -> Result:
    setting = replace(FIRST, method=method, way=way, seed=seed, rounds=len(accuracies))
    return Result(
        setting=setting,
        n_params=3,
        n_devices=50,
        accuracies=tuple(accuracies),
        up=up,
        down=up,
        cpu_s=1,
    )


def test_the_last_ten_rounds_the_median_to_ninety_and_the_spread_by_hand() -> None:
    slow, fast = [0.1] * 4 + [0.9] * 10, [0.5, 0.95] + [0.8] * 12
    never = [0.5] * 14
    line, other = summarise(
        [
            result("fedavg", "float32", 0, slow, 4000),
            result("fedavg", "float32", 1, fast, 4000),
            result("fedavg", "float32", 2, fast, 4000),
            result("fedavg", "default", 0, fast, 100),
            result("scaffold", "float32", 0, never, 10),
        ]
    )
    plain = line.outcomes["float32"]
    assert plain.accuracy == pytest.approx((0.9 + 0.8 + 0.8) / 3)
    assert plain.rounds == 2
    assert plain.spread == pytest.approx(np.std([0.9, 0.8, 0.8], ddof=1))
    assert line.outcomes["default"].spread is None
    assert other.outcomes["float32"].rounds is None
    assert line.reference == (0.898, 62)
    shown = tables([line, other])
    assert ".833/2" in shown
    assert "-6.5" in shown  # .833 - .898, in points
    assert "-3.3" in shown  # .8 - .833
    assert "40" in shown.splitlines()[3].split()[-1]  # 8000 bytes to 200


def test_every_reference_is_of_a_method_that_there_is() -> None:
    for method in methods.METHODS:
        found = summarise([result(method, "float32", 0, [0.5] * 10, 1)])
        assert found[0].reference is not None


def test_a_run_is_repeated_by_its_setting() -> None:
    setting = replace(FIRST, split="0.5", way="default", rounds=3)
    assert run(setting, {}).accuracies == run(setting, {}).accuracies


def test_every_method_learns_the_digits_by_the_default_way() -> None:
    for method in methods.METHODS:
        found = run(replace(FIRST, split="100", method=method, way="bounded", rounds=8), {})
        assert found.accuracies[-1] > 0.3, method


def test_seeds_are_outermost_and_baselines_are_played_once() -> None:
    settings = Grid(
        tasks=("digits",), methods=("fedavg", "local"), ways=("float32", "default"),
        n_seeds=2, rounds=7, splits=("0.1",),
    ).settings()  # fmt: skip
    assert [(one.way, one.seed, one.method) for one in settings] == [
        ("float32", 0, "fedavg"), ("float32", 0, "local"),
        ("float32", 1, "fedavg"), ("float32", 1, "local"),
        ("default", 0, "fedavg"), ("default", 1, "fedavg"),
    ]  # fmt: skip


def test_a_second_call_plays_nothing_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file, first, second = (tmp_path / name for name in ("r.jsonl", "1.json", "2.json"))
    words = [*SMALL, "--splits", "0.5", "--resume", str(file)]
    assert main([*words, "--json", str(first)]) == 0
    assert len(file.read_text().splitlines()) == 2
    monkeypatch.setattr("fedge.bench.federation.run.run", lambda *_, **__: pytest.fail("again"))
    assert main([*words, "--json", str(second)]) == 0
    assert "2 of 2 runs are in" in capsys.readouterr().err
    one, two = (json.loads(path.read_text()) for path in (first, second))
    assert one["runs"] == two["runs"]
    assert one["summary"] == two["summary"]
    assert [line["cell"]["method"] for line in one["summary"]] == ["fedavg"]


def test_an_interrupted_grid_keeps_what_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "r.jsonl"
    words = [*SMALL, "--splits", "0.5", "100", "--ways", "float32", "--resume", str(file)]

    def once(setting: Setting, paths: dict[str, Path]) -> Result:
        if file.exists():
            raise KeyboardInterrupt
        return run(setting, paths)

    monkeypatch.setattr("fedge.bench.federation.run.run", once)
    assert main(words) != 0
    assert len(file.read_text().splitlines()) == 1
    monkeypatch.setattr("fedge.bench.federation.run.run", run)
    assert main(words) == 0
    assert len(file.read_text().splitlines()) == 2


def test_a_damaged_file_of_results_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "r.jsonl").write_text("{}\n")
    assert main([*SMALL, "--resume", str(tmp_path / "r.jsonl")]) != 0
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "r.jsonl, line 1: expected a finished run" in said


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--methods", "magic"], "unknown method 'magic'"),
        (["--tasks", "chess"], "unknown task 'chess'"),
        (["--ways", "pigeon"], "unknown way 'pigeon'"),
        (["--splits", "0"], "unknown split '0'"),
        (["--splits", "nan"], "unknown split 'nan'"),
        (["--splits", "user"], "the data do not say who owns"),
        (["--tasks", "mnist"], "say with --mnist"),
        (["--tasks", "wisdm"], "say with --wisdm"),
        (["--mnist", "nowhere"], "cannot read nowhere/train-images"),
    ],
)
def test_what_cannot_be_played_is_one_sentence(
    words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*SMALL, *words]) != 0
    said = capsys.readouterr().err
    assert sentence in said
    assert "Traceback" not in said


def mnist(folder: Path) -> Path:
    """Ten classes of 30 training and 5 test images of 4 x 4 pixels."""
    rng = np.random.default_rng(0)
    for name, n in (("train", 300), ("t10k", 50)):
        labels = (np.arange(n) % 10).astype(np.uint8)
        images = rng.integers(0, 60, (n, 4, 4)).astype(np.uint8)
        images.reshape(n, 16)[np.arange(n), labels] = 255
        for file, magic, values in (
            (f"{name}-images-idx3-ubyte.gz", 0x803, images),
            (f"{name}-labels-idx1-ubyte.gz", 0x801, labels),
        ):
            head = struct.pack(f">{values.ndim + 1}I", magic, *values.shape)
            (folder / file).write_bytes(gzip.compress(head + values.tobytes()))
    return folder


def test_mnist_is_dealt_out_in_shards(tmp_path: Path) -> None:
    setting = replace(FIRST, task="mnist", split="shards", rounds=2)
    found = run(setting, {"mnist": mnist(tmp_path)})
    assert (found.n_devices, len(found.accuracies)) == (100, 2)
    assert found.n_params == 16 * 200 + 200 + 200 * 200 + 200 + 200 * 10 + 10


def test_mnist_with_more_labels_than_images_is_refused(tmp_path: Path) -> None:
    path = mnist(tmp_path) / "t10k-labels-idx1-ubyte.gz"
    path.write_bytes(gzip.compress(struct.pack(">II", 0x801, 60) + bytes(60)))
    with pytest.raises(DataError, match="t10k labels: expected 50, found 60"):
        tasks.TASKS["mnist"].load(tmp_path)


def wisdm(path: Path) -> Path:
    """Three users who each know two of three classes; a column may miss values."""
    rng = np.random.default_rng(1)
    client = np.repeat([10, 20, 30], 60)
    y = (client // 10 - 1 + rng.integers(2, size=180)) % 3
    x = rng.normal(size=(180, 4)) + 3 * np.eye(3, 4)[y]
    x[::7, 1] = np.nan
    write_npz(path, Dataset({"x": x}, y, client, np.arange(180) % 5 == 0))
    return path


def test_users_are_devices_and_the_baselines_stand_beside_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["bench", "federation", "--tasks", "wisdm", "--wisdm", str(wisdm(tmp_path / "w.npz"))]
    words += ["--methods", "fedavg", "centralised", "local", "--rounds", "15", "--seeds", "1"]
    words += ["--jobs", "2"]
    file = tmp_path / "r.json"
    assert main([*words, "--plot", str(tmp_path / "p.png"), "--json", str(file)]) == 0
    runs = json.loads(file.read_text())["runs"]
    ends = {(one["setting"]["method"], one["setting"]["way"]): one for one in runs}
    assert len(ends) == 4  # the baselines once
    assert ends["centralised", "float32"]["accuracies"][-1] > 0.8
    assert ends["local", "float32"]["accuracies"][-1] > 0.8  # each knows its own two classes
    assert ends["local", "float32"]["up"] == 0
    assert ends["fedavg", "float32"]["up"] > 10 * ends["fedavg", "default"]["up"]
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
    assert "wisdm, 36 devices (by user)" in capsys.readouterr().out


def test_missing_features_count_as_the_training_mean(tmp_path: Path) -> None:
    path = tmp_path / "w.npz"
    x = np.array([[1.0, 5], [3, 5], [np.nan, 5], [9, 5]])
    is_test = np.array([False, False, False, True])
    write_npz(path, Dataset({"x": x}, np.arange(4) % 2, np.zeros(4, np.int64), is_test))
    found = tasks.TASKS["wisdm"].load(path).inputs["x"]
    assert found.tolist() == [[-1, 0], [1, 0], [0, 0], [7, 0]]  # mean 2, deviation 1


def test_a_file_without_owners_is_refused(tmp_path: Path) -> None:
    write_npz(tmp_path / "w.npz", Dataset({"x": np.zeros((4, 2))}, np.zeros(4, np.int64)))
    with pytest.raises(DataError, match="client and is_test"):
        tasks.TASKS["wisdm"].load(tmp_path / "w.npz")


def test_unknown_names_are_refused_before_any_run() -> None:
    with pytest.raises(ConfigError, match="unknown method"):
        Grid(
            tasks=("digits",), methods=("magic",), ways=("float32",), n_seeds=1, rounds=None
        ).settings()


def test_without_onnx_the_command_names_what_to_install() -> None:
    code = (
        "import sys; sys.modules['onnx'] = None; from fedge.cli.main import main;"
        " sys.exit(main(['bench', 'federation']))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True
    )
    assert ended.returncode == 11
    assert ended.stderr == "fedge: fedge bench federation needs onnx: pip install 'fedge[bench]'\n"
