"""`fedge bench codecs`: the bytes are counted right, and the peers are what they claim."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fedge import codecs
from fedge.artifact import Slot
from fedge.bench.codecs import schemes, tasks
from fedge.bench.codecs.down import Difference, WholeModel
from fedge.bench.codecs.grid import Grid, summarise
from fedge.bench.codecs.peers import PowerSgd, StcGzip
from fedge.bench.codecs.run import Point, Result, is_reached, run
from fedge.bench.codecs.setting import Setting
from fedge.bench.codecs.split import deal, hold_out
from fedge.cli.main import main
from fedge.codecs import Stamp
from fedge.data import Dataset, write_npz
from fedge.errors import ConfigError

RNG = np.random.default_rng(0)
MATRIX = Slot(name="w", shape=(3, 4), offset=0, trainable=True, kind="weight")
BIAS = Slot(name="b", shape=(3,), offset=12, trainable=True, kind="bias")
SMALL = Setting(task="words", scheme="none", n_devices=4, rounds=6, local_steps=2, target=2.0)


@pytest.fixture(scope="module")
def plain() -> Result:
    return run(SMALL)


def test_float32_costs_a_payload_a_device_a_round_each_way(plain: Result) -> None:
    size = plain.n_params * 4
    assert len(plain.points) == 6
    for point in plain.points:
        up, down = point.up - point.round * 4 * size, point.down - point.round * 4 * size
        assert 14 * point.round * 4 <= up <= 24 * point.round * 4  # header and checksum
        assert 14 * point.round * 4 <= down <= 24 * point.round * 4


def test_differences_in_float32_train_the_same_model_as_whole_ones(plain: Result) -> None:
    other = run(replace(SMALL, scheme="none,none"))
    got = [point.accuracy for point in other.points]
    assert got == pytest.approx([point.accuracy for point in plain.points], abs=0.01)


def test_the_same_setting_gives_the_same_run(plain: Result) -> None:
    assert run(SMALL).points == plain.points


def test_a_fifth_of_the_devices_sends_a_fifth_of_the_bytes(plain: Result) -> None:
    few = run(replace(SMALL, participation=0.25))
    assert few.points[-1].up * 4 == pytest.approx(plain.points[-1].up, rel=1e-3)


def test_a_device_that_was_away_fetches_each_difference_it_missed_or_the_whole_model() -> None:
    rng = np.random.default_rng(0)
    way = schemes.get("none,topk:0.1/sign").down
    assert way is not None
    down = Difference(np.zeros(1000, np.float32), way, Stamp())
    sizes = [down.publish(rng.normal(size=1000).astype(np.float32), rng) for _ in range(40)]
    assert down.catch_up(0) == min(sum(sizes), 4000 + 17)
    assert down.catch_up(0) == 0
    size = down.publish(np.ones(1000, np.float32), rng)
    assert down.catch_up(0) == size


def test_differences_come_nearer_to_a_model_that_stands_still() -> None:
    rng = np.random.default_rng(0)
    way = schemes.get("none,topk:0.1/sign").down
    assert way is not None
    model = rng.normal(size=1000).astype(np.float32)
    down = Difference(np.zeros(1000, np.float32), way, Stamp())
    for _ in range(100):
        down.publish(model, rng)
    assert np.linalg.norm(down.model - model) < 0.1 * np.linalg.norm(model)


def test_a_whole_model_is_fetched_once() -> None:
    down = WholeModel(np.zeros(10, np.float32))
    assert down.catch_up(3) == 0  # the first one came with the artifact
    payload = codecs.get("none").encode(np.zeros(10, np.float32), None, RNG)
    assert down.publish(np.ones(10, np.float32), RNG) == len(payload)
    assert down.catch_up(3) == len(payload)
    assert down.catch_up(3) == 0


def test_stc_sends_the_largest_tenth_of_each_tensor_as_signs_of_their_mean() -> None:
    delta = np.zeros(15, np.float32)
    delta[[1, 5]] = 3, -5  # the matrix's tenth is two of its twelve
    delta[13] = -0.5
    stc, out = StcGzip((MATRIX, BIAS)), np.ones(15, np.float32)
    stc.accumulate(stc.encode(delta, None, RNG, stamp=Stamp()), 2.0, out)
    want = np.ones(15, np.float32)
    want[[1, 5, 13]] = 1 + 8, 1 - 8, 1 - 1
    np.testing.assert_array_equal(out, want)


def test_powersgd_sends_a_product_as_it_is_and_a_bias_exactly() -> None:
    delta = np.zeros(15, np.float32)
    delta[:12] = np.outer([1, -2, 3], [1, 0, 2, -1]).ravel()
    delta[12:] = 0.1, 0.2, 0.3
    power, residual, out = PowerSgd((MATRIX, BIAS)), np.zeros(15, np.float32), delta * 0
    payload = power.encode(delta, residual, RNG, stamp=Stamp())
    assert len(payload) == 4 * (3 + 4 + 3)
    power.accumulate(payload, 1.0, out)
    np.testing.assert_allclose(out, delta, atol=1e-5)


def test_what_powersgd_does_not_send_stays_in_the_residual() -> None:
    delta = np.random.default_rng(1).normal(size=15).astype(np.float32)
    power, residual, out = PowerSgd((MATRIX, BIAS)), np.zeros(15, np.float32), delta * 0
    power.accumulate(power.encode(delta, residual, RNG, stamp=Stamp()), 1.0, out)
    np.testing.assert_allclose(out + residual, delta, atol=1e-6)
    assert np.linalg.norm(residual) < np.linalg.norm(delta)


@pytest.mark.parametrize("iid", [True, False])
def test_every_example_has_one_owner(iid: bool) -> None:  # noqa: FBT001 - a parameter of a test
    data = Dataset({"x": np.arange(200)[:, None]}, np.arange(200) % 5)
    train, test = hold_out(data, seed=1)
    parts = deal(train, 7, iid=iid, seed=1)
    owned = np.concatenate([part.inputs["x"][:, 0] for part in [*parts, test]])
    assert sorted(owned) == list(range(200))
    assert test.n_examples == 40


def test_natural_clients_stay_together_unless_devices_shall_be_alike() -> None:
    client = np.array([5, 5, 7, 7, 7, 9])
    data = Dataset({"x": client[:, None]}, np.zeros(6, np.int64), client=client)
    parts = deal(data, 3, iid=False, seed=0)
    assert [set(part.inputs["x"][:, 0]) for part in parts] == [{5}, {7}, {9}]


def test_the_target_must_hold_for_five_rounds_in_the_mean() -> None:
    points = [Point(n, accuracy, 0, 0) for n, accuracy in enumerate([0.9, 0.7, 0.8, 0.8, 0.8])]
    assert is_reached(points, 0.8)
    assert not is_reached(points[1:], 0.7)
    assert not is_reached([*points, Point(6, 0.89, 0, 0)], 0.8)


def result(scheme: str, seed: int, reached: Point | None) -> Result:
    setting = replace(SMALL, scheme=scheme, seed=seed, n_devices=10)
    points = (reached or Point(9, 0.1, 1, 1),)
    return Result(setting=setting, target=0.5, n_params=3, points=points, reached=reached)


def test_the_factor_is_float32s_mean_bytes_over_the_schemes() -> None:
    lines = summarise(
        [
            result("none", 0, Point(10, 0.5, 3000, 1000)),
            result("none", 1, Point(20, 0.6, 5000, 1000)),
            result("int8", 0, Point(12, 0.5, 1000, 1000)),
            result("int8", 1, Point(12, 0.5, 1000, 1000)),
        ]
    )
    plain, int8 = lines
    assert (plain.rounds, plain.up, plain.down, plain.factor) == (15, 400, 100, 1)
    assert (int8.up_factor, int8.factor) == (4, 2.5)
    assert (plain.rounds_factor, int8.rounds_factor) == (1, 12 / 15)
    assert plain.best == pytest.approx(0.55)


def test_a_scheme_that_misses_with_one_seed_has_no_factor() -> None:
    hit = Point(10, 0.5, 3000, 1000)
    lines = summarise([result("none", 0, hit), result("int8", 0, hit), result("int8", 1, None)])
    assert (lines[1].n_reached, lines[1].n_seeds) == (1, 2)
    assert lines[1].rounds is lines[1].factor is None


def grid(**changes: object) -> Grid:
    one = Grid(
        tasks=("words",),
        schemes=("int8",),
        iid=(True,),
        participation=(1.0,),
        n_seeds=2,
        shared=SMALL,
    )
    return replace(one, **changes)  # type: ignore[arg-type]


def test_float32_is_always_there_to_compare_with() -> None:
    assert [(s.scheme, s.seed) for s in grid().settings()] == [
        ("none", 0),
        ("none", 1),
        ("int8", 0),
        ("int8", 1),
    ]


def test_an_unknown_scheme_task_or_target_is_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown codec 'topk'"):
        grid(schemes=("int8,topk",)).settings()
    with pytest.raises(ConfigError, match="unknown task 'chess'"):
        grid(tasks=("chess",)).settings()
    write_npz(tmp_path / "own.npz", Dataset({"x": np.zeros((4, 2))}, np.zeros(4, np.int64)))
    with pytest.raises(ConfigError, match="--target"):
        grid(tasks=(str(tmp_path / "own.npz"),), shared=replace(SMALL, target=None)).settings()


def test_every_task_of_the_bench_is_described_and_can_be_reached() -> None:
    for task in tasks.TASKS.values():
        assert task.about
        assert 0 < task.target < 1


def test_the_command_learns_a_file_on_two_processes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(2, size=200)
    x = rng.normal(size=(200, 3)) + 4 * y[:, None]
    x[::17, 1] = np.nan
    write_npz(tmp_path / "own.npz", Dataset({"x": x}, y, client=np.arange(200) % 4))
    words = ["bench", "codecs", "--data", str(tmp_path / "own.npz"), "--target", "0.9"]
    words += ["--devices", "4", "--rounds", "30", "--quick", "--specs", "topk:0.1/sign"]
    assert main([*words, "--jobs", "2", "--json", str(tmp_path / "r.json")]) == 0
    found = json.loads((tmp_path / "r.json").read_text())
    assert [line["scheme"] for line in found["summary"]] == ["none", "topk:0.1/sign"]
    assert found["summary"][1]["up_factor"] > 5
    assert [run["setting"]["task"] for run in found["runs"]] == ["own.npz", "own.npz"]
    assert "own, 4 devices by client, 100% in a round" in capsys.readouterr().out


def test_without_onnx_the_command_names_what_to_install() -> None:
    code = (
        "import sys; sys.modules['onnx'] = None; from fedge.cli.main import main;"
        " sys.exit(main(['bench', 'codecs']))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True
    )
    assert ended.returncode == 11
    assert ended.stderr == "fedge: fedge bench codecs needs onnx: pip install 'fedge[bench]'\n"
