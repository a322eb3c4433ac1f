"""A device evaluates the round's model on the examples that it never trains on."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedge.device.work.phases import Answered, Evaluating, Idle
from fedge.device.work.seeds import derive_seed
from fedge.messages import EvaluationReport, RoundKind, RoundState, StatisticsReport
from fedge.training import ArrayData, Trainer
from fedge.training.holdout import held_out
from fedge.types import DeviceId, RoundId
from tests.support.device_scene import Scene, examples
from tests.support.models import softmax
from tests.support.scripted_aggregator import PLAN

A_QUARTER = replace(PLAN, validation=0.25)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def evaluate(scene: Scene, round_: int, **changes: Any) -> None:
    scene.aggregator.announce(round_, kind=RoundKind.EVALUATION, **{"plan": A_QUARTER, **changes})


def report(scene: Scene, place: int = -1) -> EvaluationReport:
    return EvaluationReport.from_bytes(scene.aggregator.updates[place][3], scene.artifact.manifest)


def some(chosen: Any) -> ArrayData:
    """Some of the twelve examples that the device has."""
    data = examples()
    return ArrayData({"x": data.inputs["x"][chosen]}, data.targets[chosen])


def its_own() -> Any:
    seed = derive_seed(A_QUARTER.seed, DeviceId("pi-3"), RoundId(0), "validation")
    return held_out(12, 0.25, seed)


def test_it_reports_on_exactly_the_held_out_examples_and_sends_none(scene: Scene) -> None:
    device = scene.device()
    evaluate(scene, 1)
    scene.settle(device)
    assert isinstance(device.phase, Answered)
    want = Trainer(scene.artifact).evaluate(scene.artifact.parameters, some(its_own()))
    found = report(scene).sums
    assert found.n_examples == want.n_examples == 3
    assert (found.mean_loss, found.rmse, found.mae) == (want.loss, want.rmse, want.mae)
    device.close()


def test_it_trains_on_the_rest_alone(scene: Scene) -> None:
    """One full-batch step on the nine others moves the model as far as a trainer with these."""
    plan = replace(A_QUARTER, local_steps=1, batch_size=9, codec="none")
    device = scene.device()
    scene.aggregator.announce(1, plan=plan)
    scene.settle(device)
    device.close()
    rest = np.setdiff1d(np.arange(12), its_own())
    want = Trainer(scene.artifact).fit(scene.artifact.parameters, some(rest), plan)
    got = np.frombuffer(scene.aggregator.updates[0][3][-4 - want.delta.nbytes : -4], "<f4")
    np.testing.assert_allclose(got, want.delta, rtol=1e-5)


def test_the_choice_is_the_same_in_every_round_and_after_a_restart(scene: Scene) -> None:
    device = scene.device()
    evaluate(scene, 1)
    scene.settle(device)
    evaluate(scene, 4)
    scene.settle(device)
    scene.kill(device)
    again = scene.device()
    evaluate(scene, 7)
    scene.settle(again)
    again.close()
    first, second, third = (report(scene, place).sums for place in range(3))
    assert first.loss == second.loss == third.loss


def test_examples_that_the_file_marks_are_used_instead(scene: Scene) -> None:
    data, path = examples(), scene.folder / "data.npz"
    is_test = np.arange(12) >= 7
    np.savez(path, x=data.inputs["x"], y=data.targets, is_test=is_test)
    device = scene.device(data=str(path))
    evaluate(scene, 1, plan=PLAN)  # which asks to hold out none
    scene.settle(device)
    scene.aggregator.announce(2, kind=RoundKind.STATISTICS)
    scene.settle(device)
    device.close()
    want = Trainer(scene.artifact).evaluate(scene.artifact.parameters, some(is_test))
    found = report(scene, 0).sums
    assert (found.n_examples, found.mean_loss) == (5, want.loss)
    measured = StatisticsReport.from_bytes(scene.aggregator.updates[1][3], scene.artifact.manifest)
    assert measured.n_examples == 7


@pytest.mark.parametrize(
    ("n", "share", "why"),
    [
        (1, 0.25, "1 are too few to hold out 0.25 of them"),
        (12, 0.0, "the data mark none, and the job asks to hold out none"),
    ],
)
def test_a_device_with_nothing_held_out_says_so_and_trains_on(
    scene: Scene, n: int, share: float, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    plan = replace(A_QUARTER, validation=share)
    device = scene.device(data=some(slice(n)))
    evaluate(scene, 1, plan=plan)
    scene.settle(device)
    (skipped,) = {state.skipped for state in scene.aggregator.states if state.skipped}
    assert skipped.why == f"validation examples: expected at least one, found none: {why}"
    scene.aggregator.announce(2, plan=plan)
    scene.settle(device)
    scene.aggregator.announce(3, plan=plan)
    scene.settle(device)
    device.close()
    assert [round_ for _, round_, _, _ in scene.aggregator.updates] == [2, 3]
    told = "1 examples are too few to hold out 0.25 of them: training on all"
    assert sum(told in line for line in caplog.messages) == (share > 0)


def test_evaluation_goes_batch_by_batch_and_a_newer_round_ends_it(scene: Scene) -> None:
    """Twelve of 48 examples in batches of four: three steps, and the report with the fourth."""
    device = scene.device(data=examples(48))
    evaluate(scene, 1)
    scene.run_until(device, lambda: isinstance(device.phase, Evaluating))
    scene.run_until(
        device, lambda: isinstance(device.phase, Evaluating) and device.phase.n_steps == 2
    )
    assert scene.aggregator.updates == []
    scene.aggregator.announce(1, sequence=11, state=RoundState.CLOSED)
    scene.settle(device)
    assert isinstance(device.phase, Idle)
    evaluate(scene, 2)
    scene.settle(device)
    assert [round_ for _, round_, _, _ in scene.aggregator.updates] == [2]
    device.close()


def test_a_report_survives_the_process_and_is_sent_until_it_is_answered(scene: Scene) -> None:
    scene.aggregator.reply = lambda _: None
    device = scene.device()
    evaluate(scene, 1)
    scene.settle(device)
    scene.kill(device)
    again = scene.device()
    scene.settle(again)
    again.close()
    (first, *others) = scene.aggregator.updates
    assert others
    assert all(other == first for other in others)


def test_a_model_that_is_not_finite_is_not_reported(tmp_path: Path) -> None:
    """Its scores overflow to infinity, and the softmax of those is not a number."""
    scene = Scene(tmp_path, softmax())
    huge = np.full(scene.artifact.n_params, 3e38, np.float32)
    model = scene.aggregator.add_blob(huge.tobytes())
    data = ArrayData({"x": np.full((12, 2), 9, np.float32)}, np.zeros(12, np.int64))
    device = scene.device(data=data)
    evaluate(scene, 1, model=model)
    scene.settle(device)
    device.close()
    assert scene.aggregator.updates == []
    (skipped,) = {state.skipped for state in scene.aggregator.states if state.skipped}
    assert "the model cannot be judged by this device: evaluation loss" in skipped.why
