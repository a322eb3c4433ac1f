"""Which models stay: the last ones and the best, whenever the process dies."""

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from fedge.aggregator import open_registry
from fedge.cli.main import main
from fedge.errors import ConfigError
from tests.support.aggregator_by_hand import Bench
from tests.support.laws import check_laws
from tests.support.models import linear, softmax


class KilledError(BaseException):
    """Passes everything that turns errors into sentences."""


def a_bench(folder: Path, **settings: object) -> Bench:
    """Scripted updates are chance, so the accuracy on these examples goes up and down."""
    dice = np.random.default_rng(3)
    x, y = dice.normal(size=(40, 2)).astype(np.float32), dice.integers(0, 3, 40)
    np.savez(folder / "test.npz", x=x, y=y)
    bench = Bench(folder, **{"test_data": folder / "test.npz", **settings})  # type: ignore[arg-type]
    bench.add("ann")
    return bench


def rounds_of(folder: Path) -> list[dict]:
    lines = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    return [line for line in lines if line["event"] == "round"]


def files(folder: Path) -> set[str]:
    return {path.stem for path in (folder / "state" / "models").glob("*.f32")}


def best_of(events: list[dict]) -> dict:
    """By hand: the first event with the highest accuracy; of equal ones that of the lowest loss."""
    return min(events, key=lambda one: (-one["accuracy"], one["loss"], one["round"]))


@pytest.mark.parametrize("most", [1, 3])
def test_the_last_models_and_the_best_are_kept(tmp_path: Path, most: int) -> None:
    bench = a_bench(tmp_path, rounds=9, keep_models=most, strategy="fedadam:lr=0.5")
    bench.settle(n_steps=200)
    bench.aggregator.close()
    events = rounds_of(tmp_path)
    best = best_of(events)
    assert best["round"] <= 9 - most  # else this shows nothing
    wanted = {one["model_sha256"] for one in [*events[-most:], best]}
    assert files(tmp_path) == wanted
    registry = open_registry(tmp_path / "state")
    assert registry.best().round == best["round"]
    kept = [one.round for one in registry.models() if registry.is_kept(one)]
    assert kept == sorted({best["round"], *range(10 - most, 10)})
    gone = next(one for one in events if one["model_sha256"] not in wanted)
    with pytest.raises(ConfigError) as caught:
        registry.parameters(registry.model(gone["round"]))
    assert str(caught.value) == (
        f"the model of round {gone['round']} is no longer kept; those of rounds "
        f"{', '.join(map(str, kept))} are (--keep-models of the aggregator sets how many)"
    )
    assert len(list((tmp_path / "state" / "models").glob("*.memory"))) == 1


def test_killed_at_every_file_it_takes_away_the_next_start_ends_the_same(tmp_path: Path) -> None:
    (tmp_path / "calm").mkdir()
    calm = a_bench(tmp_path / "calm", rounds=8, keep_models=2)
    calm.settle(n_steps=200)
    calm.aggregator.close()
    (tmp_path / "killed").mkdir()
    bench = a_bench(tmp_path / "killed", rounds=8, keep_models=2)
    unlink, n_kills = Path.unlink, 0

    def kill_before(path: Path, **options: bool) -> None:
        if path.suffix == ".f32":
            raise KilledError
        unlink(path, **options)

    for _ in range(60):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Path, "unlink", kill_before)
            try:
                bench.settle(n_steps=200)
            except KilledError:
                n_kills += 1
            else:
                break
        bench.kill()
        check_laws(bench.folder / "state", keep_models=2)
        bench.begin()
        check_laws(bench.folder / "state", keep_models=2)
        bench.time.now_s += 1
    assert n_kills > 3
    assert files(bench.folder) == files(calm.folder)


def test_fewer_models_to_keep_take_away_the_rest_at_the_next_start(tmp_path: Path) -> None:
    bench = a_bench(tmp_path, rounds=6)
    bench.settle(n_steps=200)
    bench.aggregator.close()
    assert len(files(tmp_path)) == 7  # the first model too: 20 are kept
    bench.settings["keep_models"] = 1
    bench.begin()
    events = rounds_of(tmp_path)
    assert files(tmp_path) == {one["model_sha256"] for one in [events[-1], best_of(events)]}


def test_without_test_data_no_model_is_the_best(tmp_path: Path) -> None:
    bench = Bench(tmp_path, rounds=3, keep_models=1)
    bench.add("ann")
    bench.settle()
    assert len(files(tmp_path)) == 1
    with pytest.raises(ConfigError, match="run the aggregator with --test-data"):
        open_registry(tmp_path / "state").best()


def test_the_lowest_loss_is_the_best_where_accuracy_means_nothing(tmp_path: Path) -> None:
    bench = a_bench_of_numbers(tmp_path)
    bench.settle(n_steps=200)
    losses = {one["round"]: one["loss"] for one in rounds_of(tmp_path)}
    best = open_registry(tmp_path / "state").best()
    assert best.round == min(losses, key=lambda round_: losses[round_])
    assert best.round != 6  # else the last would have done as well


def a_bench_of_numbers(folder: Path) -> Bench:
    x = np.random.default_rng(1).normal(size=(20, 2)).astype(np.float32)
    np.savez(folder / "test.npz", x=x, y=-x.sum(axis=1, keepdims=True))
    bench = Bench(
        folder, artifact=linear(n_in=2), rounds=6, test_data=folder / "test.npz", keep_models=1
    )
    bench.add("ann")
    return bench


def exported(folder: Path, *words: str) -> tuple[int, Path]:
    target = folder / "out.onnx"
    return main(["export", str(folder / "state"), "-o", str(target), *words]), target


def test_an_exported_file_says_which_model_it_is(tmp_path: Path) -> None:
    bench = a_bench(tmp_path, rounds=9, keep_models=1, strategy="fedadam:lr=0.5")
    bench.settle(n_steps=200)
    events = rounds_of(tmp_path)
    for words, event in (((), events[-1]), (("--round", "best"), best_of(events))):
        code, target = exported(tmp_path, *words)
        assert code == 0
        wanted = {
            "fedge.fleet": "default",
            "fedge.job": "default",
            "fedge.round": str(event["round"]),
            "fedge.model_sha256": event["model_sha256"],
            "fedge.accuracy": str(event["accuracy"]),
            "fedge.loss": str(event["loss"]),
            "fedge.artifact_sha256": bench.artifact.sha256,
        }
        model = onnx.load(target)
        onnx.checker.check_model(model, full_check=True)
        assert {one.key: one.value for one in model.metadata_props} == wanted
        session = ort.InferenceSession(str(target))
        assert session.get_modelmeta().custom_metadata_map == wanted


def test_a_model_that_is_gone_and_a_round_that_is_none_are_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = Bench(tmp_path, artifact=softmax(), rounds=3, keep_models=1)
    bench.add("ann")
    bench.settle()
    assert exported(tmp_path, "--round", "1")[0] == 2
    assert capsys.readouterr().err.startswith("fedge: the model of round 1 is no longer kept; ")
    with pytest.raises(SystemExit):
        exported(tmp_path, "--round", "last")
    assert "expected a round's number or best, found 'last'" in capsys.readouterr().err
