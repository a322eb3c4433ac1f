"""Missing or unusable examples: rounds are skipped, and the reason is reported."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedge.device.work.phases import Answered
from fedge.errors import ConfigError, DataError
from fedge.messages import RoundState
from fedge.training import ArrayData
from tests.support.device_scene import Scene, examples


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def write(path: Path, n: int, **more: Any) -> None:
    found = examples(max(n, 1))
    np.savez(path, x=found.inputs["x"][:n], y=found.targets[:n], **more)


def skips(scene: Scene) -> list[tuple[int, str]]:
    """What the aggregator was told, without repeats."""
    told = [state.skipped for state in scene.aggregator.states if state.skipped]
    return list(dict.fromkeys((one.round, one.why) for one in told))


def test_a_missing_file_is_waited_for_and_the_round_is_done_once_it_arrives(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    path = scene.folder / "data.npz"
    device = scene.device(data=str(path))
    manifest = scene.aggregator.announce(1)
    scene.settle(device)
    assert skips(scene) == [(1, f"examples: expected at least one, found none yet in {path}")]
    assert scene.aggregator.requests == []  # nothing is fetched for nothing
    for _ in range(20):
        scene.now_s += 1
        scene.settle(device)
    write(path, 12)
    scene.now_s += 3
    scene.settle(device)
    assert device.phase == Answered(manifest)
    assert len(scene.aggregator.updates) == 1
    device.close()
    said = [record.message for record in caplog.records if "examples" in record.message]
    assert said[0] == (
        f"no examples yet in {path} (there is no such file): waiting for them, and skipping rounds"
    )
    assert len([line for line in said if "no examples yet" in line]) == 1
    assert len([line for line in said if "skipping round 1:" in line]) == 1
    assert "there are examples now" in said


@pytest.mark.parametrize("how", ["empty", "held out"])
def test_a_file_without_examples_to_train_on_is_waited_for(scene: Scene, how: str) -> None:
    path = scene.folder / "data.npz"
    if how == "empty":
        write(path, 0)
    else:
        write(path, 3, is_test=np.ones(3, bool))
    device = scene.device(data=str(path))
    for round_ in (1, 2):
        scene.aggregator.announce(round_)
        scene.settle(device)
    assert [round_ for round_, _ in skips(scene)] == [1, 2]
    assert device.report()["rounds_skipped"] == 2
    write(path, 12)
    scene.aggregator.announce(3)
    scene.settle(device)
    assert [round_ for _, round_, *_ in scene.aggregator.updates] == [3]
    device.close()


def test_a_half_written_file_is_read_again_when_it_has_changed(scene: Scene) -> None:
    path, whole = scene.folder / "data.npz", scene.folder / "whole.npz"
    device = scene.device(data=str(path))
    write(whole, 12)
    path.write_bytes(whole.read_bytes()[:200])
    scene.aggregator.announce(1)
    scene.settle(device)
    ((_, why),) = skips(scene)
    assert "expected an intact .npz file" in why
    path.write_bytes(whole.read_bytes())
    scene.now_s += 3
    scene.settle(device)
    assert len(scene.aggregator.updates) == 1
    device.close()


def test_a_source_given_by_the_program_may_be_empty_at_first(scene: Scene) -> None:
    class Sensor:
        n_examples = 0

        def batch(self, indices: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
            return examples(12).batch(indices)

    sensor = Sensor()
    device = scene.device(data=sensor)  # type: ignore[arg-type] # a source as good as arrays
    scene.aggregator.announce(1)
    scene.settle(device)
    assert skips(scene) == [(1, "examples: expected at least one, found none yet")]
    sensor.n_examples = 12
    scene.now_s += 3
    scene.settle(device)
    assert len(scene.aggregator.updates) == 1
    device.close()


def test_a_closed_round_is_not_tried_again(scene: Scene) -> None:
    path = scene.folder / "data.npz"
    device = scene.device(data=str(path))
    scene.aggregator.announce(1)
    scene.settle(device)
    scene.aggregator.announce(1, sequence=11, state=RoundState.CLOSED)
    scene.settle(device)
    write(path, 12)
    scene.now_s += 3
    scene.settle(device)
    assert scene.aggregator.updates == []
    device.close()


def test_unusable_examples_are_logged_once_and_reported_to_the_aggregator_each_round(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    bad = examples(12)
    bad.inputs["x"][3:5, 1] = np.nan
    device = scene.device(data=bad)
    for round_ in (1, 2, 3):
        scene.aggregator.announce(round_)
        scene.settle(device)
    why = (
        "x: expected no missing values without standardize, found NaN in feature 1 in 2 of 12 rows"
    )
    assert skips(scene) == [(1, why), (2, why), (3, why)]
    assert caplog.text.count(why) == 1
    device.close()


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (lambda path: path.write_bytes(b"not a zip"), DataError),
        (lambda path: np.savez(path, x=np.zeros((3, 2))), DataError),
        (lambda path: path.mkdir(), ConfigError),
    ],
)
def test_a_file_that_holds_no_examples_at_all_is_refused_at_the_start(
    scene: Scene, spoil: Any, error: type[Exception]
) -> None:
    path = scene.folder / "data.npz"
    spoil(path)
    with pytest.raises(error):
        scene.device(data=str(path))


def test_examples_given_by_the_program_need_no_file(scene: Scene) -> None:
    device = scene.device(data=ArrayData({"x": np.zeros((0, 2), np.float32)}, np.zeros((0, 1))))
    device.close()
